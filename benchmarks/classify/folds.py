"""Quality on sources and languages that training never saw, and against the number of prompts."""

from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.classify.cache import cached
from benchmarks.classify.data import features_of, own_files, rows_of
from benchmarks.classify.interval import Figure, resampled, share
from turnout.classifiers import LocalClassifier
from turnout.training.calibration import Calibration
from turnout.training.figures import FOUR, Figures, figures, four_way, recall_at
from turnout.training.fitting import fit
from turnout.training.folds import FOLDS, folds_by_source
from turnout.training.intents import calibrate_and_measure, out_of_fold_odds
from turnout.training.licences import is_permissive
from turnout.training.rows import Row

_SHARES = (0.0, 0.125, 0.25, 0.5, 1.0)
_LANGUAGES = ("de", "es", "fr", "pt", "zh", "ja", "hi", "ar", "it", "ru")
_SCARY = "scary_benign"
_CURVE = (
    "four_way_f1",
    "four_way_f1_not_english",
    "recall_at_1",
    "recall_at_5",
    "scary_blocked",
    "own_scary_blocked",
)


def card(_data: tuple[Path, ...]) -> dict[str, Any]:
    """Training's figures of the shipped artefact on folds by source, from its card."""
    text = LocalClassifier.load().card
    table = text.partition("| figure | shipped")[2].partition("\n\n")[0]
    rows = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    return {name: float(value) for name, value, *_ in rows}


def folds(data: tuple[Path, ...]) -> dict[str, Any]:
    """The shipped recipe on folds by source, with rows of every licence, and the floor."""
    usable = _permissive_rows(data)
    files = [*data, *own_files()]
    shipped = cached("folds: shipped recipe", files, lambda: _fold_figures(data, usable))
    every = cached("folds: every licence", files, lambda: _fold_figures(data, usable | True))
    floor = cached("folds: bag of words", files, lambda: _bag_of_words_figures(data))
    out = {f"shipped: {name}": value for name, value in shipped.items()}
    out |= {f"every licence: {name}": value for name, value in every.items()}
    return out | {f"bag of words: {name}": value for name, value in floor.items()}


def curve(data: tuple[Path, ...]) -> dict[str, Any]:
    """Quality against the number of own prompts, spread evenly over the files."""
    rows, usable = rows_of(data), _permissive_rows(data)
    own = np.array([row.is_own for row in rows])
    out: dict[str, Any] = {}
    for part in _SHARES:
        chosen = usable & (~own | _share_of_own(own, part))
        name = f"{int((chosen & own).sum())} own prompts"
        files = [*data, *own_files()]
        found = cached(f"curve: {name}", files, partial(_fold_figures, data, chosen))
        out |= {f"{name}: {figure}": found[figure] for figure in _CURVE}
    return out


def languages(data: tuple[Path, ...]) -> dict[str, Any]:
    """Each language by heads that saw no row in it: intents, and harm at the shipped cut."""
    out: dict[str, Any] = {}
    for language in _LANGUAGES:
        files = [*data, *own_files()]
        out |= cached(
            f"languages: without {language}",
            files,
            partial(_unseen_language_figures, data, language),
        )
    return out


def _permissive_rows(data: tuple[Path, ...]) -> Any:
    return np.array([is_permissive(row) for row in rows_of(data)])


def _fold_figures(data: tuple[Path, ...], usable: Any) -> dict[str, Figure | float]:
    rows = rows_of(data)
    odds = out_of_fold_odds(rows, features_of(data), usable)
    calibration, _ = calibrate_and_measure(odds)
    scores = calibration.served_odds(odds.quick, odds.both, odds.known)
    settled: dict[str, Figure | float] = {"settled_early": calibration.settled}
    return settled | _with_intervals(rows, scores, calibration)


def _with_intervals(
    rows: Sequence[Row], scores: Any, calibration: Calibration
) -> dict[str, Figure]:
    names = [f.name for f in fields(Figures) if f.name not in {"rows", "settled_early"}]

    counted = [
        i for i, row in enumerate(rows) if row.is_prompt and (not row.is_own or row.kind == _SCARY)
    ]

    def measured(index: Any) -> dict[str, float]:
        drawn = [counted[i] for i in index]
        found = figures([rows[i] for i in drawn], scores[drawn], calibration).as_dict()
        return {name: found[name] for name in names}

    return resampled(measured, len(counted))


def _unseen_language_figures(data: tuple[Path, ...], language: str) -> dict[str, Any]:
    rows, features = rows_of(data), features_of(data)
    in_language = np.array([row.language == language for row in rows])
    public = np.array([not row.is_own and row.is_prompt for row in rows])
    index = np.flatnonzero(_permissive_rows(data) & ~in_language)
    heads = fit([rows[i] for i in index], features.subset(index))
    test_rows = np.flatnonzero(in_language & public)
    if not len(test_rows):
        return {f"{language}: rows": 0}
    test_features = features.subset(test_rows)
    both = heads.first(test_features) + heads.second(test_features)
    kept_rows = [rows[i] for i in test_rows]
    labels = [FOUR[i] for i in _three_way_labels(both)]
    benign = np.array([not row.unsafe for row in kept_rows])
    found: dict[str, Any] = {f"{language}: rows": len(kept_rows)}
    if benign.any():
        name = f"{language}: intents, macro-F1 where present"
        found[name] = four_way(kept_rows, labels, benign)
        right = [
            {"writing": "creative"}.get(str(row.intent), row.intent) == label
            for row, label, take in zip(kept_rows, labels, benign, strict=True)
            if take and row.intent in (*FOUR, "writing")
        ]
        found[f"{language}: intents, accuracy"] = share(right)
    return found


def _share_of_own(own: Any, part: float) -> Any:
    """That share of the own rows, evenly spread over the files."""
    place = np.cumsum(own)
    return own & (np.floor(place * part) > np.floor((place - 1) * part))


def _bag_of_words_figures(data: tuple[Path, ...]) -> dict[str, Figure]:
    """Words and pairs of words, one softmax over intents and unsafe, on the same folds."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    rows = rows_of(data)
    fold = folds_by_source(rows)
    public = np.array([not row.is_own and row.is_prompt for row in rows])
    labels = np.array([row.intent or "" for row in rows])
    scores = np.zeros(len(rows))
    given = np.full(len(rows), "", dtype=object)
    for k in range(FOLDS):
        index = np.flatnonzero(public & (fold != k) & (labels != ""))
        test = np.flatnonzero(fold == k)
        reader = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        model = OneVsRestClassifier(LogisticRegression(solver="liblinear", C=10.0))
        model.fit(reader.fit_transform([rows[i].text for i in index]), labels[index])
        found = model.predict_proba(reader.transform([rows[i].text for i in test]))
        scores[test] = found[:, list(model.classes_).index("unsafe")]
        given[test] = [model.classes_[i] for i in found.argmax(axis=1)]
    given = np.array(["creative" if g == "writing" else g for g in given])
    bad = np.array([row.unsafe for row in rows])
    other = np.array([row.language != "en" for row in rows])

    def measured(index: Any) -> dict[str, float]:
        some = [rows[i] for i in index]
        there, unsafe, foreign = public[index], bad[index], other[index]
        labels_given = given[index]
        good = there & ~unsafe
        return {
            "four_way_f1": four_way(some, labels_given, there),
            "four_way_f1_not_english": four_way(some, labels_given, there & foreign),
            "recall_at_1": recall_at(scores[index], there & unsafe, good, 0.01),
            "recall_at_5": recall_at(scores[index], there & unsafe, good, 0.05),
        }

    return resampled(measured, len(rows))


def _three_way_labels(both: Any) -> Any:
    creative = np.maximum(both[:, 1], both[:, 8])
    return np.stack([both[:, 0], creative, both[:, 2]], axis=1).argmax(axis=1)
