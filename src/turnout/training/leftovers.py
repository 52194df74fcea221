"""The texts that are left of attacks on the label after their asides are removed.

The labels' heads are trained on the texts that they get when serving. An attack whose aside is
found becomes its prompt again; of the others the heads get the remaining text, so that attacks
which are hard to find count twice. For this, asides are found by heads that saw no mould of the
kind (none that was written just before or after it), and by a simpler rule than the served one:
heads trained on the served rule's remainders were no better (experiments/classifiers.md).
"""

import math
from collections.abc import Callable, Sequence

from turnout.classifiers.asides import Asides, text_of_run, with_colon_limits
from turnout.classifiers.clauses import clauses
from turnout.classifiers.grams import concatenated
from turnout.classifiers.heads import Table
from turnout.classifiers.window import clipped
from turnout.core.arrays import Rows
from turnout.training.asides import AsideHead, fit_asides
from turnout.training.augment import fillings
from turnout.training.licences import is_permissive
from turnout.training.rows import LABEL_ATTACK, TALK, Row

_GROUPS = 6
_BLOCK = 20
# The plainer rule: what the head's log-odds for a clause are worth, what its own length (up to so
# many characters) speaks against leaving it out, and what is left; and the log-odds without which
# a text stands whole.
_TRUST, _WEIGHT, _REST = 0.85, 0.4, 1.0
_WEIGHTY = 60
_TELLING = 0.5


def leftover_rows(rows: Sequence[Row], rows_of: Callable[[str], Rows]) -> list[Row]:
    """New rows: the remainders of filled moulds that are not the prompt itself; labels are kept."""
    attacks = list(fillings(rows))
    groups = _groups(rows)
    found: list[Row] = []
    for group in sorted(set(groups.values())):
        others = [
            r
            for i, r in enumerate(rows)
            if groups.get(i) != group and r.kind != TALK and is_permissive(r)
        ]
        read = _Reader(fit_asides(others, rows_of), rows_of)
        found += [
            filled.read_as(left)
            for filled in attacks
            if groups[filled.mould] == group
            and _letters_and_digits(left := read(filled.text))
            != _letters_and_digits(filled.row.text)
        ]
    return found


def _groups(rows: Sequence[Row]) -> dict[int, int]:
    """The group of every mould, by its place among the rows."""
    moulds = [i for i, row in enumerate(rows) if row.kind == LABEL_ATTACK]
    return {place: i // _BLOCK % _GROUPS for i, place in enumerate(moulds)}


class _Reader:
    """Reads a text's ends without what talks to the classifier, clause by clause."""

    def __init__(self, head: AsideHead, rows_of: Callable[[str], Rows]) -> None:
        table = Table.of_arrays(head.rarity, head.weights, head.bias)
        self._asides = Asides(table=table, alarm=head.alarm)
        self._rows_of = rows_of

    def __call__(self, text: str) -> str:
        read = clipped(text)
        return (
            self._without_asides(read) if self._asides.may_hold_aside(self._rows_of(read)) else read
        )

    def _without_asides(self, text: str) -> str:
        parts = clauses(text)
        if len(parts) == 1:
            return text
        rows = concatenated([self._rows_of(part) for part in parts])
        scores = with_colon_limits(parts, self._asides.table.outputs_of_all(*rows)[:, 0])
        if scores.max() <= _TELLING:
            return text
        run = _costliest_run([len(part) for part in parts], scores.tolist())
        return text_of_run(text, parts, run, scores <= 0.0)


def _costliest_run(lengths: Sequence[int], scores: Sequence[float]) -> tuple[int, int]:
    """The run of clauses, by lengths and log-odds, that is most costly to leave out."""
    best, found, total, start = -math.inf, (0, len(lengths)), 0.0, 0
    for i, (length, score) in enumerate(zip(lengths, scores, strict=True)):
        if total <= 0.0:
            total, start = 0.0, i
        share = min(length, _WEIGHTY) / _WEIGHTY
        total += _WEIGHT * share - _REST - _TRUST * (1.0 + share) * score
        if total > best:
            best, found = total, (start, i + 1)
    return found


def _letters_and_digits(text: str) -> str:
    return "".join(filter(str.isalnum, text.lower()))
