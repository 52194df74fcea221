"""Trains the local classifier: ``turnout train intents``.

Every threshold and the calibration come from folds by source, so that they hold for sources
the heads never saw; the heads that are saved are then fitted on all usable rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.classifiers import LocalClassifier
from turnout.classifiers.artefact import VERSION, Artefact
from turnout.core import UNSAFE, ConfigError
from turnout.core.arrays import Doubles, Floats
from turnout.training import vocabulary
from turnout.training.asides import AsideHead, fit_asides
from turnout.training.augment import attack_rows, task_rows
from turnout.training.calibration import THRESHOLD, Calibration, calibrate
from turnout.training.card import Part, card, refit_note
from turnout.training.features import Features, Progress, embedder, extract_features, read_rows
from turnout.training.figures import Figures, figures
from turnout.training.fitting import HARM, INJECTION, OUTPUTS, Heads, fit
from turnout.training.folds import FOLDS, folds_by_source
from turnout.training.follows import fit_follows, follow_ups, never_follows, new_tasks, switches
from turnout.training.leftovers import leftover_rows
from turnout.training.licences import is_permissive
from turnout.training.pasted import pasted_rows
from turnout.training.rows import CALLED_OFF, INTENTS, LABEL_ATTACK, TALK, Row, load

_CLUSTERS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfFoldOdds:
    """Rows with the log-odds of heads that saw nothing of their source."""

    rows: Sequence[Row]
    features: Features
    first: Doubles
    second: Doubles
    static: Doubles
    known: Doubles

    @property
    def quick(self) -> Doubles:
        """The log-odds of the first stage alone."""
        return self.first + self.static

    @property
    def both(self) -> Doubles:
        """The log-odds of the two stages together."""
        return self.first + self.second


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """The artefact, its out-of-fold figures, and those with rows of every licence."""

    artefact: Artefact
    figures: Figures
    every_licence: Figures | None = None


def no_progress(_step: str, _done: int, _total: int) -> None:
    """Reports no progress."""


def train(
    paths: Sequence[Path],
    *,
    date: str,
    every_licence: bool = False,
    compare: bool = False,
    progress: Progress = no_progress,
) -> Trained:
    """Trains one artefact on the rows of ``paths``.

    Only rows whose licence allows it are used, unless ``every_licence``. ``compare`` also
    measures what the other rows would add. ``date`` goes into the model card.
    Raises ConfigError for a bad row.
    """
    loaded = load(paths)
    rows = training_rows(loaded)
    usable = np.array([every_licence or is_permissive(row) for row in rows], dtype=bool)
    _check_rows(rows, usable)
    features = extract_features([row.text for row in rows], progress)
    odds = out_of_fold_odds(rows, features, usable, progress)
    calibration, measured = calibrate_and_measure(odds)
    others = None
    if compare:
        every = np.ones(len(rows), dtype=bool)
        others = calibrate_and_measure(out_of_fold_odds(rows, features, every, progress))[1]
    progress("fitting", 0, 1)
    heads = fit(*_subset(rows, features, usable))
    usable_rows = _usable_rows(loaded, every_licence=every_licence)
    asides = fit_asides(usable_rows, read_rows, embedder(progress))
    text = card(rows, usable, measured, others, calibration, date)
    background = _background(features.vectors[usable])
    artefact = _artefact(heads, asides, background, calibration, text)
    artefact = _with_follow_ups(artefact, usable_rows, progress)
    return Trained(artefact=artefact, figures=measured, every_licence=others)


def refit(
    part: Part,
    paths: Sequence[Path],
    *,
    base: Path | None = None,
    date: str,
    every_licence: bool = False,
    progress: Progress = no_progress,
) -> Artefact:
    """Refits one part of an artefact.

    ``asides`` finds talk to the classifier; ``follows`` distinguishes a turn that continues a task
    from one that begins a new one. Everything else is as in ``base``, or in the shipped artefact:
    heads, thresholds and calibration, so that their measured figures hold. ``paths`` and the other
    parameters are those of ``train``. Raises ConfigError for a bad row, and if no row is a mould of
    an attack (``asides``), or no row continues or begins a task (``follows``).
    """
    artefact, loaded = Artefact.load(base), load(paths)
    usable_rows = _usable_rows(loaded, every_licence=every_licence)
    if part == "asides":
        _check_moulds(loaded)
        refitted = _with_asides(artefact, usable_rows, progress)
    else:
        _check_turns(usable_rows)
        refitted = _with_follow_ups(artefact, usable_rows, progress)
    return replace(refitted, card=artefact.card + refit_note(part, usable_rows, date))


def _check_moulds(loaded: Sequence[Row]) -> None:
    if not any(row.kind in (LABEL_ATTACK, TALK) for row in loaded):
        raise ConfigError(
            f"none of {len(loaded)} rows has the kind {LABEL_ATTACK} or {TALK}: nothing tells what "
            "talk to the classifier looks like; add some, such as those of Turnout's own datasets"
        )


def _check_turns(usable_rows: Sequence[Row]) -> None:
    for found, what in (
        (follow_ups(usable_rows), "two turns of the user and another kind than switch"),
        (switches(usable_rows) or new_tasks(usable_rows), "a task of its own, or the kind switch"),
    ):
        if not found:
            raise ConfigError(
                f"none of {len(usable_rows)} rows that may be used has {what}; add conversations "
                "and prompts, such as those of Turnout's own datasets"
            )


def _with_asides(artefact: Artefact, usable_rows: Sequence[Row], progress: Progress) -> Artefact:
    """The artefact with other heads for asides."""
    progress("fitting", 0, 1)
    asides = fit_asides(usable_rows, read_rows, embedder(progress))
    kept = {name: a for name, a in artefact.arrays.items() if not name.startswith("aside_")}
    meta = {**artefact.meta, "asides": asides.meta()}
    return replace(artefact, arrays=kept | asides.arrays(), meta=meta)


def _with_follow_ups(
    artefact: Artefact, usable_rows: Sequence[Row], progress: Progress
) -> Artefact:
    """The artefact with a head for follow-ups that was fitted on the artefact's other parts."""
    weights, bias = fit_follows(usable_rows, LocalClassifier(artefact), progress)
    return replace(artefact, arrays={**artefact.arrays, "follow_w": weights, "follow_b": bias})


def _usable_rows(loaded: Sequence[Row], *, every_licence: bool) -> list[Row]:
    return [row for row in loaded if every_licence or is_permissive(row)]


def _check_rows(rows: Sequence[Row], usable: NDArray[np.bool_]) -> None:
    """Raises ConfigError if there is too little to learn from, or nothing to measure it on."""
    if not rows:
        raise ConfigError("no rows; give labelled prompts, {text or messages, intent, source} each")
    if not usable.any():
        raise ConfigError(
            f"none of {len(rows)} rows may be given away; say the licence of each (own, for what "
            "you wrote), or train for yourself with --every-licence"
        )
    sources = {row.source for row, use in zip(rows, usable, strict=True) if use}
    if len(sources) < 2:
        raise ConfigError(
            f"all rows are of one source ({', '.join(sources)}); name the source of each, at least "
            "two, since figures and thresholds come from sources that were not seen"
        )
    labels = {row.intent for row, use in zip(rows, usable, strict=True) if use and row.is_prompt}
    if len(labels.intersection(INTENTS)) < 2:
        raise ConfigError(
            f"the rows that may be used have the intents {sorted(map(str, labels))}; give at least "
            f"two of {', '.join(INTENTS)}"
        )
    if UNSAFE not in labels:
        raise ConfigError(
            f"no row that may be used has the intent {UNSAFE}: nothing would be blocked; add some, "
            "such as those of Turnout's own datasets"
        )


def training_rows(loaded: Sequence[Row]) -> list[Row]:
    """The rows for the labels' heads: those of the files that are used, and rows made from them."""
    # Turns that may come next teach follow-ups alone: as labels they cost more than they brought.
    rows = [row for row in loaded if row.kind not in (CALLED_OFF, TALK) and not row.is_next]
    # Attacks that are hard to find count twice: most prompts that still flip are of that kind.
    left = leftover_rows(rows, read_rows)
    made = [*attack_rows(rows), *left, *left, *pasted_rows(rows)]
    return [*rows, *made, *task_rows(rows)]


def calibrate_and_measure(odds: OutOfFoldOdds) -> tuple[Calibration, Figures]:
    """Calibration and the figures of the cascade as served."""
    calibration = calibrate(odds.rows, odds.quick, odds.both, odds.known)
    served_odds = calibration.served_odds(odds.quick, odds.both, odds.known)
    return calibration, figures(odds.rows, served_odds, calibration)


def out_of_fold_odds(
    rows: Sequence[Row],
    features: Features,
    usable: NDArray[np.bool_],
    progress: Progress = no_progress,
) -> OutOfFoldOdds:
    """Scores every row by heads fitted on the other folds' usable rows."""
    fold = folds_by_source(rows)
    first = np.zeros((len(rows), len(OUTPUTS)))
    second, static = np.zeros_like(first), np.zeros_like(first)
    known = np.zeros(len(rows))
    for k in range(FOLDS):
        progress("folds by source", k, FOLDS)
        heads = fit(*_subset(rows, features, usable & (fold != k)))
        test = np.flatnonzero(fold == k)
        held = features.subset(test)
        first[test], second[test] = heads.first(held), heads.second(held)
        static[test] = heads.static(held)
        known[test] = _known_shares(held, heads)
    return OutOfFoldOdds(
        rows=rows, features=features, first=first, second=second, static=static, known=known
    )


def _subset(
    rows: Sequence[Row], features: Features, chosen: NDArray[np.bool_]
) -> tuple[list[Row], Features]:
    index = np.flatnonzero(chosen)
    return [rows[int(i)] for i in index], features.subset(index)


def _known_shares(features: Features, heads: Heads) -> Doubles:
    seen = features.counts @ (heads.rarity > 0).astype(np.float64)
    total = np.asarray(features.counts.sum(axis=1)).ravel()
    return np.asarray(seen / np.maximum(total, 1.0))


def _background(vectors: Floats) -> NDArray[np.float16]:
    """Usual prompts as a few hundred cluster centres, against which own intents are fitted."""
    from sklearn.cluster import MiniBatchKMeans

    clusters = min(_CLUSTERS, len(vectors))
    model = MiniBatchKMeans(clusters, random_state=0, n_init=1, batch_size=2048)
    return np.asarray(model.fit(vectors).cluster_centers_, dtype=np.float16)


def _artefact(
    heads: Heads,
    asides: AsideHead,
    background: NDArray[np.float16],
    calibration: Calibration,
    text: str,
) -> Artefact:
    scale = np.ones(len(OUTPUTS))
    scale[: len(INTENTS)] = 1.0 / calibration.temperature
    shift = np.zeros(len(OUTPUTS))
    shift[HARM], shift[INJECTION] = calibration.harm_cut, calibration.injection_cut
    pieces, scores = vocabulary.read()
    follow = never_follows()
    arrays: dict[str, NDArray[Any]] = {
        "rarity": heads.rarity.astype(np.float16),
        "first_w": (heads.first_w * scale).astype(np.float16),
        "first_b": (heads.first_b * scale - shift).astype(np.float32),
        "second_w": (heads.second_w * scale).astype(np.float32),
        "second_b": (heads.second_b * scale).astype(np.float32),
        "static_rarity": heads.static_rarity.astype(np.float16),
        "static_w": (heads.static_w * scale).astype(np.float16),
        "static_b": (heads.static_b * scale).astype(np.float32),
        **asides.arrays(),
        "background": background,
        "follow_w": follow[0],
        "follow_b": follow[1],
        "pieces": np.frombuffer("\n".join(pieces).encode(), dtype=np.uint8),
        "scores": np.asarray(scores, dtype=np.float32),
    }
    meta = {
        "name": "local",
        "version": VERSION,
        "intents": list(INTENTS),
        "threshold": THRESHOLD,
        "gate": calibration.gate,
        "asides": asides.meta(),
    }
    return Artefact(arrays=arrays, meta=meta, card=text)
