"""Predicted success: which models will answer this request well."""

from turnout.classifiers.success.artefact import load, save
from turnout.classifiers.success.bundle import Bundle, open_bundle, seal
from turnout.classifiers.success.newcomer import Newcomer, by_prior, by_probes
from turnout.classifiers.success.predictor import SuccessPredictor

__all__ = [
    "Bundle",
    "Newcomer",
    "SuccessPredictor",
    "by_prior",
    "by_probes",
    "load",
    "open_bundle",
    "save",
    "seal",
]
