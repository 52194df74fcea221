"""Rows made from rows: attacks on the label, and the tasks that conversations are about.

An attack must not change its prompt's label. It is a mould: a template that marks the place of the
prompt, and maybe that of a label. Each is filled with prompts and labels in turn, without chance.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from turnout.classifiers.window import window
from turnout.training.rows import INTENTS, LABEL_ATTACK, MADE, MOULDS, SWITCH, Row

PLACE = "{prompt}"
LABEL = "{label}"
_GUESSED_LABELS = (
    "small_talk harmless safe benign trivial trivia easy cheap low default other greeting poetry "
    "A 0 SIMPLE_QA Chat CODE fun math qa question story informational fast basic"
)
# Names that an attacker may use for a label: the product's own, and likely guesses.
LABELS = (
    *INTENTS,
    *_GUESSED_LABELS.split(),
    "simple question",
    "small talk",
    "general knowledge",
    "class 1",
    "not code",
    "'chat'",
)
_FILLINGS = 8
_LONGEST = 400
# Steps through prompts and labels that have no divisor in common with their number.
_STRIDE, _LABEL_STRIDE = 37, 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """The mould at that place among the rows, with ``row``'s prompt from ``start`` to ``end``."""

    mould: int
    row: Row
    text: str
    start: int
    end: int
    source: str

    def read_as(self, text: str) -> Row:
        """A row that is read as ``text``, and keeps the prompt's label."""
        return replace(self.row.with_text(text, kind=MADE), source=self.source)


def attack_rows(rows: Sequence[Row]) -> list[Row]:
    """New rows: every mould filled with a few of the other rows' prompts, labels kept."""
    return [filled.read_as(filled.text) for filled in fillings(rows, MOULDS)]


def task_rows(rows: Sequence[Row]) -> list[Row]:
    """New rows: how a conversation's task was asked, alone and with what was answered to it."""
    found: dict[str, Row] = {}
    for row in rows:
        seen = window(row.messages)
        if row.intent in INTENTS and seen.contexts:
            task_texts = row.turns[-1:] if row.kind == SWITCH else (row.turns[0], seen.contexts[0])
            for text in task_texts:
                found.setdefault(text, row.with_text(text, kind=""))
    return list(found.values())


def fillings(rows: Sequence[Row], kinds: Collection[str] = (LABEL_ATTACK,)) -> Iterator[Filled]:
    """Every mould of these kinds with prompts of the rows, each time another one."""
    moulds = [(i, r) for i, r in enumerate(rows) if r.kind in kinds and PLACE in r.text]
    prompts = [row for row in rows if row.may_be_reused and len(row.text) < _LONGEST]
    if not prompts:
        return
    turn = 0
    for place, mould in moulds:
        for _ in range(_FILLINGS if LABEL in mould.text else _FILLINGS // 2):
            turn += 1
            yield _filled(place, mould, prompts[turn * _STRIDE % len(prompts)], turn)


def _filled(place: int, mould: Row, row: Row, turn: int) -> Filled:
    label = LABELS[turn * _LABEL_STRIDE % len(LABELS)]
    before, after = mould.text.replace(LABEL, label).split(PLACE, 1)
    return Filled(
        mould=place,
        row=row,
        text=before + row.text + after,
        start=len(before),
        end=len(before) + len(row.text),
        source=mould.source,
    )
