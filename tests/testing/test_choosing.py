"""The checks for policies and classifiers: ours pass, and each broken one is found."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from msgspec import structs

from turnout.classifiers import LocalClassifier
from turnout.core import Candidate, Message, Prediction, Ref
from turnout.policies import (
    Cascade,
    Cheapest,
    CheapestAboveQuality,
    Fixed,
    IntentMap,
    Policy,
    Random,
    Rule,
    Rules,
    Score,
    Situation,
    Strongest,
    Utility,
    Weighted,
    in_order,
)
from turnout.testing import ClassifierFailure, PolicyFailure, check_classifier, check_policy

OURS: list[Policy] = [
    Cascade(steps=3),
    Cascade(steps=2, needs_schema=True),
    Cascade(steps=2, judge="a", drafting=frozenset("bc")),
    Cheapest(),
    CheapestAboveQuality(),
    CheapestAboveQuality(calibrated=((0.9, 0.5),)),
    CheapestAboveQuality(steady=0.5, usual=(("model-a", 0.2), ("model-c", 0.9))),
    Fixed(deployment="b", fallbacks=("a",)),
    IntentMap(routes={"code": "c"}, default="a"),
    Random(),
    Rules(rules=(Rule(name="r", deployment="b", keywords=("hello",)),), otherwise=Cheapest()),
    Strongest(order=("c", "b", "a")),
    Utility(per_usd=10, per_second=1),
    Weighted(weights={"a": 1, "b": 3}),
]


@pytest.mark.parametrize("policy", OURS, ids=lambda p: p.ref.name)
def test_our_policies_pass(policy: Policy) -> None:
    """Every shipped policy keeps the contract."""
    check_policy(policy)


@dataclass
class Broken:
    """The cheapest, spoiled in one way."""

    how: str

    def __post_init__(self) -> None:
        self._calls = count()

    @property
    def ref(self) -> Ref:
        """Its name, which may change."""
        return Ref(name="broken", digest=str(next(self._calls)) if self.how == "renamed" else "")

    def rank(self, candidates: Sequence[Candidate], situation: Situation) -> Sequence[Score]:
        """A ranking with one fault."""
        del situation
        scores = in_order(candidates)
        if self.how == "restless" and scores:
            return [structs.replace(scores[0], value=float(next(self._calls)))]
        if self.how == "stranger":
            return [Score(deployment="z", value=1, propensity=1)]
        if self.how == "twice":
            return [*scores, *scores]
        if self.how == "shares":
            return [structs.replace(score, propensity=0.9) for score in scores]
        if self.how == "infinite":
            return [structs.replace(score, value=float("inf")) for score in scores]
        if self.how == "greedy" and isinstance(candidates, list):
            candidates.clear()
        return scores


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("restless", "ranks differently"),
        ("stranger", "was not given"),
        ("twice", "somebody twice"),
        ("shares", "propensities sum"),
        ("infinite", "not finite"),
        ("greedy", "ranks differently|changes what it was given"),
        ("renamed", "its ref changes"),
    ],
)
def test_each_broken_policy_is_found(how: str, says: str) -> None:
    """Every check can fail, and says what is wrong."""
    with pytest.raises(PolicyFailure, match=says):
        check_policy(Broken(how))


def test_our_classifier_passes() -> None:
    """The shipped one keeps the contract on odd texts, alone, in a batch and in two stages."""
    check_classifier(LocalClassifier.load())


class Spoiled:
    """A small classifier with one fault."""

    intents = ("code", "chat")
    threshold = 0.5
    ref = Ref(name="spoiled")

    def __init__(self, how: str = "") -> None:
        self.how = how
        self._calls = count()

    def predict(self, messages: Sequence[Message]) -> Prediction:
        """Mostly code."""
        del messages
        shares: tuple[tuple[str, float], ...] = (("code", 0.7), ("chat", 0.3))
        if self.how == "sum":
            shares = (("code", 0.9), ("chat", 0.8))
        elif self.how == "order":
            shares = shares[::-1]
        elif self.how == "stranger":
            shares = (("poem", 1.0),)
        harm = 1.5 if self.how == "harm" else 0.1
        if self.how == "restless":
            harm = next(self._calls) % 7 / 7
        return Prediction(classifier=self.ref, intents=shares, harm=harm)

    def begin_batch(self, conversations: Sequence[Sequence[Message]]) -> list[Any]:
        """Nothing is settled at once."""
        return list(conversations)

    def finish_batch(self, readings: Sequence[Any]) -> list[Prediction]:
        """As in one stage."""
        found = [self.predict(reading) for reading in readings]
        return [structs.replace(f, harm=None) for f in found] if self.how == "staged" else found

    def predict_batch(self, conversations: Sequence[Sequence[Message]]) -> list[Prediction]:
        """One by one."""
        found = [self.predict(one) for one in conversations]
        return found[1:] if self.how == "short" else found

    def warm(self) -> None:
        """Nothing to load."""


def test_a_sound_classifier_of_ones_own_passes() -> None:
    """The small one, unspoiled."""
    check_classifier(Spoiled())


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("sum", "probabilities sum to 1.7"),
        ("order", "most likely intent is not first"),
        ("stranger", "'poem'"),
        ("harm", "a safety score is 1.5"),
        ("restless", "something else"),
        ("staged", "two stages"),
        ("short", "another number of answers"),
    ],
)
def test_each_spoiled_classifier_is_found(how: str, says: str) -> None:
    """Every check can fail, and says what is wrong."""
    with pytest.raises(ClassifierFailure, match=says):
        check_classifier(Spoiled(how))
