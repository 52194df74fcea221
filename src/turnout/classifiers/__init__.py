"""Learned and asked-for labels: what a request is, and whether it is safe."""

from turnout.classifiers.hybrid import combine
from turnout.classifiers.local import LocalClassifier

__all__ = ["LocalClassifier", "combine"]
