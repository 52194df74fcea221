"""A classifier with a calibration of the user's own, and the file that one is kept in.

Invariant: a calibration is used with the artefact that it was made for, or not at all.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from msgspec import structs

from turnout.classifiers.calibration import Calibration
from turnout.classifiers.protocol import Classifier
from turnout.core import ConfigError, Message, Prediction

_AGAIN = "make it anew with turnout calibrate FILE --save"


class Calibrated:
    """The classifier ``inner`` with intents shifted and the threshold set by ``calibration``."""

    def __init__(self, inner: Classifier, calibration: Calibration) -> None:
        self._inner = inner
        self._calibration = calibration
        self.intents = inner.intents
        self.threshold = calibration.threshold
        parts = f"{inner.ref.digest}\n".encode() + file_bytes(calibration, inner)
        self.ref = structs.replace(inner.ref, digest="sha256:" + hashlib.sha256(parts).hexdigest())

    def predict(self, messages: Sequence[Message]) -> Prediction:
        """The prediction for one conversation."""
        return self._calibrated(self._inner.predict(messages))

    def begin_batch(self, conversations: Sequence[Sequence[Message]]) -> list[Any]:
        """For each the prediction where little time finds it, else what ``finish_batch`` needs."""
        return [
            self._calibrated(begun) if isinstance(begun, Prediction) else begun
            for begun in self._inner.begin_batch(conversations)
        ]

    def finish_batch(self, readings: Sequence[Any]) -> list[Prediction]:
        """The predictions for what ``begin_batch`` did not settle, in that order."""
        return [self._calibrated(p) for p in self._inner.finish_batch(readings)]

    def predict_batch(self, conversations: Sequence[Sequence[Message]]) -> list[Prediction]:
        """Predictions in the order of ``conversations``."""
        return [self._calibrated(p) for p in self._inner.predict_batch(conversations)]

    def warm(self, *, fully: bool = True) -> None:
        """Loads now what the first prompt would wait for, or only what every prompt needs."""
        self._inner.warm(fully=fully)

    def _calibrated(self, prediction: Prediction) -> Prediction:
        return structs.replace(self._calibration.apply(prediction), classifier=self.ref)


def file_bytes(calibration: Calibration, classifier: Classifier) -> bytes:
    """The calibration's file, which names the classifier's artefact."""
    value = {
        "classifier": classifier.ref.digest,
        "threshold": calibration.threshold,
        "offsets": dict(calibration.offsets),
    }
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS) + b"\n"


def load(path: Path, classifier: Classifier) -> Calibration:
    """The calibration in ``path``, for ``classifier``. Raises ConfigError."""
    try:
        value = orjson.loads(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); {_AGAIN} {path}") from error
    except orjson.JSONDecodeError as error:
        raise ConfigError(f"{path}: not JSON ({error}); {_AGAIN} {path}") from error
    problem = _problem(value, classifier)
    if problem:
        raise ConfigError(f"{path}: {problem}; {_AGAIN} {path}")
    return Calibration(threshold=float(value["threshold"]), offsets=value["offsets"])


def _problem(value: Any, classifier: Classifier) -> str | None:
    if not isinstance(value, dict) or value.keys() != {"classifier", "threshold", "offsets"}:
        return "must hold classifier, threshold and offsets"
    if value["classifier"] != classifier.ref.digest:
        made, now = str(value["classifier"])[:19], classifier.ref.digest[:19]
        return f"classifier is {made}, and the one in use is {now}"
    if not _is_number(value["threshold"]) or not 0 <= value["threshold"] <= 1:
        return f"threshold is {value['threshold']!r}, not a number from 0 to 1"
    offsets = value["offsets"]
    if not isinstance(offsets, dict) or not all(_is_number(v) for v in offsets.values()):
        return "offsets must map intents to numbers"
    unknown = sorted(offsets.keys() - set(classifier.intents))
    return f"offsets has {unknown[0]!r}, which is no intent here" if unknown else None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
