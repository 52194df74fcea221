"""The label that a request is routed on.

This module does not know how labels are found, or which model they lead to.
"""

from collections.abc import Mapping
from functools import lru_cache

from turnout.core import Prediction

# A label that is not configured counts as its parent, if that one is configured.
PARENTS = {"writing": "creative"}


@lru_cache(maxsize=64)
def label_parents(intents: frozenset[str]) -> Mapping[str, str]:
    """The labels that count as their parent when ``intents`` are the configured ones."""
    return {
        label: parent
        for label, parent in PARENTS.items()
        if label not in intents and parent in intents
    }


def served_intent(prediction: Prediction, intents: frozenset[str]) -> tuple[str | None, float]:
    """The label to route on, and its probability; None when there is no usable label."""
    if prediction.label is not None:
        return prediction.label, 1.0
    if prediction.label_failure is not None or not prediction.intents:
        return None, 0.0
    served = dict(prediction.intents)
    for label, parent in label_parents(intents).items():
        if label in served:
            served[parent] = served.get(parent, 0.0) + served.pop(label)
    shares = [*served.values()]
    most = max(shares)
    return [*served][shares.index(most)], most
