"""The label that a request is served under.

Does not know how the labels were found, or where they lead.
"""

from collections.abc import Collection

from turnout.core import Prediction

# A label that is not configured is served as its parent where that one is.
PARENTS = {"writing": "creative"}


def folding(intents: Collection[str]) -> dict[str, str]:
    """The labels that are served as another one, where ``intents`` are configured."""
    return {
        label: parent
        for label, parent in PARENTS.items()
        if label not in intents and parent in intents
    }


def served_intent(prediction: Prediction, intents: Collection[str]) -> tuple[str | None, float]:
    """The label to route on with its probability; None when one was asked for and missed."""
    if prediction.label is not None:
        return prediction.label, 1.0
    if prediction.label_failure is not None or not prediction.intents:
        return None, 0.0
    served = dict(prediction.intents)
    for label, parent in folding(intents).items():
        if label in served:
            served[parent] = served.get(parent, 0.0) + served.pop(label)
    intent = max(served, key=served.__getitem__)
    return intent, served[intent]
