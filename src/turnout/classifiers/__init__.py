"""Learned and asked-for labels: what a request is, and whether it is safe."""

from turnout.classifiers.calibration import Calibration
from turnout.classifiers.custom import CustomIntents, IntentSpec
from turnout.classifiers.hybrid import combine, unsure
from turnout.classifiers.local import LocalClassifier

__all__ = [
    "Calibration",
    "CustomIntents",
    "IntentSpec",
    "LocalClassifier",
    "combine",
    "unsure",
]
