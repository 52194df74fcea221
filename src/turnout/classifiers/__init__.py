"""Learned and asked-for labels: what a request is, and whether it is safe."""

from turnout.classifiers.calibrated import Calibrated
from turnout.classifiers.custom import IntentSpec
from turnout.classifiers.hybrid import Band, combine
from turnout.classifiers.local import LocalClassifier
from turnout.classifiers.protocol import Classifier

__all__ = [
    "Band",
    "Calibrated",
    "Classifier",
    "IntentSpec",
    "LocalClassifier",
    "combine",
]
