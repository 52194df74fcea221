"""Fits the head that tells a follow-up from a new task.

Follow-ups are the later turns of conversations, and short ones written on their own, which are
paired with the conversations' contexts in turn; new tasks are conversations that switch, and
prompts put after a context that is not theirs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from turnout.classifiers.encoder import DIMENSIONS, shared_encoder
from turnout.classifiers.follows import inputs
from turnout.classifiers.window import clipped, window
from turnout.core.arrays import Floats
from turnout.training.features import tokenizer
from turnout.training.rows import FOLLOW_UP, INTENTS, SWITCH, Row

Pair = tuple[str, str]

_NEW_TASKS = 3000
# In a conversation most turns follow, which the balanced training rows do not show.
_PRIOR_LOG_ODDS = 2.0


def fit_follows(rows: Sequence[Row]) -> tuple[Floats, float]:
    """Weights and bias; a head that never follows where there is nothing to learn from."""
    follow, switch = _told(rows)
    contexts = [context for _, context in follow]
    if not contexts:
        return np.zeros(DIMENSIONS + 2, np.float32), -20.0
    alone = [row.text for row in rows if row.kind == FOLLOW_UP]
    fresh = _thinned(
        [r.text for r in rows if r.judged and r.intent in INTENTS and r.intent != "chat"]
    )
    groups = [follow, _paired(alone, contexts), switch, _paired(fresh, contexts)]
    return _fit(groups, [True, True, False, False])


def _told(rows: Sequence[Row]) -> tuple[list[Pair], list[Pair]]:
    """(turn, what was said before it) of the conversations' follow-ups, and of their switches."""
    follow: list[Pair] = []
    switch: list[Pair] = []
    for row in rows:
        seen = window(row.messages)
        pairs = list(zip(seen.turns[1:], seen.contexts, strict=True))
        if pairs and row.kind == SWITCH:
            switch.append(pairs.pop())
        follow += pairs
    return follow, switch


def _paired(texts: Sequence[str], contexts: Sequence[str]) -> list[Pair]:
    return [(text, contexts[(7 * i) % len(contexts)]) for i, text in enumerate(texts)]


def _thinned(texts: Sequence[str]) -> list[str]:
    step = max(1, len(texts) // _NEW_TASKS)
    return list(texts[::step])


def _fit(groups: Sequence[list[Pair]], labels: Sequence[bool]) -> tuple[Any, float]:
    from sklearn.linear_model import LogisticRegression

    def vectors(texts: Sequence[str]) -> Floats:
        return shared_encoder().encode([tokenizer().ids(clipped(text)) for text in texts])

    kept = [(group, label) for group, label in zip(groups, labels, strict=True) if group]
    turns = [turn for group, _ in kept for turn, _ in group]
    before = [context for group, _ in kept for _, context in group]
    x = inputs(turns, vectors(turns), vectors(before))
    y = np.concatenate([np.full(len(group), label) for group, label in kept])
    sample = np.concatenate([np.full(len(group), 1.0 / len(group)) for group, _ in kept])
    model = LogisticRegression(C=1.0, max_iter=500)
    model.fit(x, y, sample_weight=sample / sample.mean())
    return model.coef_[0].astype(np.float32), float(model.intercept_[0]) + _PRIOR_LOG_ODDS
