"""Trains the local classifier: ``turnout train intents``.

Every threshold and the calibration come from folds by source, so that they hold for sources
the heads never saw; the heads that are saved are then fitted on all rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.classifiers.artefact import Artefact
from turnout.classifiers.encoder import SentenceEncoder
from turnout.classifiers.local import clipped
from turnout.classifiers.pieces import PieceTokenizer
from turnout.training import vocabulary
from turnout.training.folds import FOLDS, by_source, weights
from turnout.training.licences import permissive
from turnout.training.rows import INTENTS, Row, load

Floats = NDArray[np.float64]
Progress = Callable[[str, int, int], None]

THRESHOLD = 0.5
OVER_BLOCK = 0.009
_BATCH = 256
_STRENGTH = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Out-of-fold results: intent log-odds a column an intent, safety log-odds."""

    intents: Floats
    harm: Floats
    injection: Floats


def quiet(_step: str, _done: int, _total: int) -> None:
    """Shows nothing."""


def train(
    paths: Sequence[Path],
    out: Path,
    *,
    every_licence: bool = False,
    progress: Progress = quiet,
) -> Artefact:
    """Trains on the rows of ``paths`` and writes one artefact to ``out``."""
    rows = load(paths)
    features = embedded(rows, progress)
    usable = np.array([every_licence or permissive(row) for row in rows])
    found = out_of_fold(rows, features, usable, progress)
    artefact = _fitted(rows, features, usable, found)
    artefact.save(out)
    return artefact


def embedded(rows: Sequence[Row], progress: Progress = quiet) -> NDArray[np.float32]:
    """Sentence vectors of the rows' last messages."""
    encoder = SentenceEncoder.load()
    tokenizer = PieceTokenizer(*vocabulary.read())
    parts = []
    for start in range(0, len(rows), _BATCH):
        progress("embed", start, len(rows))
        batch = rows[start : start + _BATCH]
        parts.append(encoder.encode([tokenizer.ids(clipped(row.text)) for row in batch]))
    return np.concatenate(parts)


def out_of_fold(
    rows: Sequence[Row],
    features: NDArray[np.float32],
    usable: NDArray[np.bool_],
    progress: Progress = quiet,
) -> Scores:
    """Scores of every row by heads that saw nothing of its source."""
    fold = by_source(rows)
    out = Scores(
        intents=np.zeros((len(rows), len(INTENTS))),
        harm=np.zeros(len(rows)),
        injection=np.zeros(len(rows)),
    )
    for k in range(FOLDS):
        progress("folds", k, FOLDS)
        heads = _heads(rows, features, usable & (fold != k))
        test = fold == k
        out.intents[test] = features[test] @ heads["intent_w"] + heads["intent_b"]
        for name, scores in (("harm", out.harm), ("injection", out.injection)):
            scores[test] = features[test] @ heads[f"{name}_w"] + heads[f"{name}_b"]
    return out


def _heads(
    rows: Sequence[Row], features: NDArray[np.float32], chosen: NDArray[np.bool_]
) -> dict[str, Any]:
    index = np.flatnonzero(chosen)
    whole = [i for i in index if not rows[i].follows]
    heads = _choice(rows, features, [i for i in whole if rows[i].intent in INTENTS])
    for name in ("harm", "injection"):
        wanted = [_safety(rows[i], name) for i in whole]
        kept = [(i, y) for i, y in zip(whole, wanted, strict=True) if y is not None]
        heads |= _score(rows, features, name, [i for i, _ in kept], [y for _, y in kept])
    return heads


def _follow(rows: Sequence[Row], features: Any, index: Sequence[int]) -> dict[str, Any]:
    """Whether a turn goes on with the task before it; small talk never ends one."""
    told = [i for i in index if rows[i].follows or rows[i].intent not in ("chat", None)]
    return _score(rows, features, "follow", told, [rows[i].follows for i in told])


def _safety(row: Row, name: str) -> bool | None:
    """Whether the row is of that kind; None keeps one kind out of the other's negatives."""
    if not row.unsafe:
        return False
    return True if row.injection == (name == "injection") else None


def _choice(rows: Sequence[Row], features: Any, index: Sequence[int]) -> dict[str, Any]:
    labels = [INTENTS.index(rows[i].intent or "") for i in index]
    model = _fit(rows, features, index, labels)
    weight = np.zeros((features.shape[1], len(INTENTS)))
    bias = np.full(len(INTENTS), -20.0)
    weight[:, model.classes_] = model.coef_.T
    bias[model.classes_] = model.intercept_
    return {"intent_w": weight, "intent_b": bias}


def _score(
    rows: Sequence[Row], features: Any, name: str, index: Sequence[int], labels: Sequence[bool]
) -> dict[str, Any]:
    model = _fit(rows, features, index, labels)
    return {f"{name}_w": model.coef_[0], f"{name}_b": model.intercept_[0]}


def _fit(rows: Sequence[Row], features: Any, index: Sequence[int], labels: Sequence[Any]) -> Any:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=_STRENGTH, max_iter=300)
    sample = weights([rows[i] for i in index], labels)
    return model.fit(features[list(index)], np.asarray(labels), sample_weight=sample)


def _fitted(
    rows: Sequence[Row], features: Any, usable: NDArray[np.bool_], found: Scores
) -> Artefact:
    heads = _heads(rows, features, usable)
    heads |= _follow(rows, features, np.flatnonzero(usable).tolist())
    temperature = _temperature(rows, found.intents)
    heads["intent_w"] /= temperature
    heads["intent_b"] /= temperature
    for name, share in (("harm", 0.75), ("injection", 0.25)):
        cut = _cut(rows, getattr(found, name), share * OVER_BLOCK)
        heads[f"{name}_b"] = heads[f"{name}_b"] - cut
    pieces, scores = vocabulary.read()
    arrays = {name: np.asarray(value, dtype=np.float32) for name, value in heads.items()}
    arrays |= {
        "pieces": np.frombuffer("\n".join(pieces).encode(), dtype=np.uint8),
        "scores": np.asarray(scores, dtype=np.float32),
    }
    meta = {
        "name": "local",
        "version": "1",
        "intents": list(INTENTS),
        "threshold": THRESHOLD,
    }
    return Artefact(arrays=arrays, meta=meta, card="")


def _cut(rows: Sequence[Row], scores: Floats, share: float) -> float:
    """The log-odds above which ``share`` of the benign rows lie."""
    benign = np.array([not row.unsafe and not row.follows for row in rows])
    return float(np.quantile(scores[benign], 1.0 - share))


def _temperature(rows: Sequence[Row], logits: Floats) -> float:
    """The divisor of the logits that makes them likeliest (Guo et al. 2017, arXiv:1706.04599)."""
    index = [i for i, row in enumerate(rows) if row.intent in INTENTS and not row.follows]
    labels = [INTENTS.index(rows[i].intent or "") for i in index]
    sample = weights([rows[i] for i in index], labels)
    grid = np.geomspace(0.3, 6.0, 40)
    return float(min(grid, key=lambda t: _loss(logits[index] / t, labels, sample)))


def _loss(logits: Floats, labels: Sequence[int], sample: Floats) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-(sample * log[np.arange(len(labels)), labels]).mean())
