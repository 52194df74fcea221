"""Fits the head that tells a follow-up from a new task.

Follow-ups are the later turns of conversations, and short ones written on their own, which are put
after the conversations' beginnings in turn; new tasks are turns of conversations that switch, and
prompts put after another conversation's beginning. Each is read as when serving.
"""

from collections.abc import Sequence

import numpy as np

from turnout.classifiers import LocalClassifier
from turnout.classifiers.follows import column_count, follow_up_columns
from turnout.core import Message
from turnout.core.arrays import Doubles, Floats
from turnout.training.features import Progress
from turnout.training.rows import FOLLOW_UP, INTENTS, SWITCH, Row

Conversation = Sequence[Message]
# Weights and bias.
Fitted = tuple[Floats, Floats]

_NEW_TASKS = 3000
# A step through the beginnings that has no divisor in common with their number.
_STRIDE = 7
# The weight of turns written in a conversation; the rest is that of turns put into one.
_WRITTEN = 7 / 8
# In real conversations most turns follow; the training rows are balanced.
_PRIOR_LOG_ODDS = 2.0


def fit_follows(rows: Sequence[Row], classifier: LocalClassifier, progress: Progress) -> Fitted:
    """Weights and bias for ``classifier``; without conversations no turn ever follows."""
    follow = follow_ups(rows)
    if not follow:
        return never_follows()
    beginnings = [messages[:-1] for messages in follow]
    alone = [row.text for row in rows if row.kind == FOLLOW_UP]
    groups: list[tuple[bool, float, Sequence[Conversation]]] = [
        (True, _WRITTEN, follow),
        (True, 1 - _WRITTEN, _appended(alone, beginnings)),
        (False, _WRITTEN, switches(rows)),
        (False, 1 - _WRITTEN, _appended(new_tasks(rows), beginnings)),
    ]
    columns_of_turns: list[Floats] = []
    follows: list[bool] = []
    weights: list[float] = []
    for is_follow, share, conversations in groups:
        found = _last_turn_columns(conversations, classifier, progress)
        columns_of_turns += found
        follows += [is_follow] * len(found)
        weights += [share / max(len(found), 1)] * len(found)
    return _fit_logistic(np.stack(columns_of_turns), follows, np.array(weights))


def never_follows() -> Fitted:
    """Weights and bias by which every turn begins a new task."""
    return np.zeros(column_count(len(INTENTS)), np.float32), np.array(-20.0, np.float32)


def follow_ups(rows: Sequence[Row]) -> list[Conversation]:
    """The conversations whose last turn goes on."""
    return [row.messages for row in rows if len(row.turns) > 1 and row.kind != SWITCH]


def switches(rows: Sequence[Row]) -> list[Conversation]:
    """The conversations whose last turn begins a new task."""
    return [row.messages for row in rows if len(row.turns) > 1 and row.kind == SWITCH]


def new_tasks(rows: Sequence[Row]) -> list[str]:
    """Prompts to put into a conversation as new tasks, spread over all there are."""
    fresh = [r.text for r in rows if r.is_prompt and r.intent in INTENTS and r.intent != "chat"]
    return fresh[:: max(1, len(fresh) // _NEW_TASKS)]


def _appended(texts: Sequence[str], beginnings: Sequence[Conversation]) -> list[Conversation]:
    """Each text as the next turn of another beginning."""
    return [
        [*beginnings[(_STRIDE * i) % len(beginnings)], {"role": "user", "content": text}]
        for i, text in enumerate(texts)
    ]


def _last_turn_columns(
    conversations: Sequence[Conversation], classifier: LocalClassifier, progress: Progress
) -> list[Floats]:
    """The columns of each last turn, the turns before it taken to follow."""
    found = []
    for number, messages in enumerate(conversations):
        progress("turns", number, len(conversations))
        turns = classifier.turns(messages)
        # A turn that only talks to the classifier does not count.
        if len(turns.texts) > 1:
            current = turns.turn_intents[0]
            for i in range(1, len(turns.texts)):
                current = turns.continued_intents(current, i)
            found.append(follow_up_columns(turns, len(turns.texts) - 1, current))
    return found


def _fit_logistic(columns_of_turns: Floats, follows: Sequence[bool], weights: Doubles) -> Fitted:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1.0, max_iter=3000)
    model.fit(columns_of_turns, follows, sample_weight=weights / weights.mean())
    bias = model.intercept_[0] + _PRIOR_LOG_ODDS
    return model.coef_[0].astype(np.float32), np.array(bias, np.float32)
