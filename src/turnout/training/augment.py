"""Prompts with an attack on the label inside, which must not change their label.

An attack is a mould with the place of the prompt marked; each is filled with prompts of the
data set in turn, without randomness.
"""

from collections.abc import Sequence
from dataclasses import replace

from turnout.training.rows import INTENTS, LABEL_ATTACK, Row

PLACE = "{prompt}"
_FILLED = 12


def attacked(rows: Sequence[Row]) -> list[Row]:
    """New rows: every mould filled with some of the other rows' prompts, labels kept."""
    moulds = [row for row in rows if row.kind == LABEL_ATTACK]
    prompts = [r for r in rows if r.judged and r.intent in INTENTS and r.source.startswith("own")]
    if not prompts:
        return []
    step = max(1, len(prompts) // max(1, len(moulds) * _FILLED))
    chosen = prompts[::step]
    return [_filled(moulds[i % len(moulds)], row) for i, row in enumerate(chosen) if moulds]


def _filled(mould: Row, row: Row) -> Row:
    text = mould.text.replace(PLACE, row.text)
    return replace(
        row, messages=({"role": "user", "content": text},), source=mould.source, kind=LABEL_ATTACKED
    )


LABEL_ATTACKED = "label_attacked"
