"""What attacks on the label leave to be read once their asides are out.

The labels' heads learn from what they are given when served. An attack whose aside is found is
its prompt again; of the others the heads see what is left, so that those which are hard to find
count twice. For that, asides are sought by heads that saw no mould of the kind: none that was
written just before or after it.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from turnout.classifiers.asides import Asides
from turnout.classifiers.grams import together
from turnout.classifiers.heads import Table
from turnout.classifiers.window import clipped
from turnout.training.asides import AsideHead, fit_asides
from turnout.training.augment import fillings
from turnout.training.licences import permissive
from turnout.training.rows import LABEL_ATTACK, Row

Rows = NDArray[np.int64]

_GROUPS = 6
_BLOCK = 20


def leftovers(rows: Sequence[Row], rows_of: Callable[[str], Rows]) -> list[Row]:
    """New rows: what is left of filled moulds where it is not the prompt; labels are kept."""
    attacks = list(fillings(rows))
    groups = _groups(rows)
    found: list[Row] = []
    for group in sorted(set(groups.values())):
        others = [r for i, r in enumerate(rows) if groups.get(i) != group and permissive(r)]
        read = _Reader(fit_asides(others, rows_of), rows_of)
        found += [
            filled.reading(left)
            for filled in attacks
            if groups[filled.mould] == group
            and _letters(left := read(filled.text)) != _letters(filled.row.text)
        ]
    return found


def _groups(rows: Sequence[Row]) -> dict[int, int]:
    """The group of every mould, by its place among the rows."""
    moulds = [i for i, row in enumerate(rows) if row.kind == LABEL_ATTACK]
    return {place: i // _BLOCK % _GROUPS for i, place in enumerate(moulds)}


class _Reader:
    """Reads a text as it is served: its ends, without what talks to the classifier."""

    def __init__(self, head: AsideHead, rows_of: Callable[[str], Rows]) -> None:
        table = Table.of_arrays(head.rarity, head.weights, head.bias)
        self._asides = Asides(table=table, alarm=head.alarm)
        self._rows_of = rows_of

    def __call__(self, text: str) -> str:
        read = clipped(text)
        return self._asides.read(read, self._rows_of(read), self._of_all)

    def _of_all(self, texts: Sequence[str]) -> tuple[Rows, Rows]:
        return together([self._rows_of(text) for text in texts])


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))
