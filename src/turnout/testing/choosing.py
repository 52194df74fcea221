"""The contracts of policies and classifiers, as checks that a plug-in's author can run.

Invariant: a check only uses the protocol. This module does not know any particular plug-in.
"""

import copy
import math
from collections.abc import Iterable, Sequence
from itertools import product

from turnout.classifiers import Classifier
from turnout.core import (
    Candidate,
    Constraints,
    Features,
    Message,
    Prediction,
    Ref,
    Request,
    Snapshot,
)
from turnout.policies import Policy, Score, Situation

ODD_TEXTS = (
    "",
    " ",
    "\x00",
    "a",
    "What is the capital of Japan?",
    "Schreibe ein Gedicht \u00fcber den Herbst.",
    "\u65e5\u672c\u306e\u9996\u90fd\u306f\uff1f",
    "def f(x):\n    return x",
    "(" * 3000,
    "word " * 3000,
)
_SUM = 1e-6


class PolicyFailure(AssertionError):
    """A policy breaks its contract; the message says how."""


class ClassifierFailure(AssertionError):
    """A classifier breaks its contract; the message says how."""


def check_policy(policy: Policy, deployments: Sequence[str] = ("a", "b", "c")) -> None:
    """Checks a policy on pools of ``deployments``. Raises PolicyFailure.

    A policy always gives the same ranking, ranks only the given candidates and each once, changes
    nothing, always has the same name, and its propensities sum to one. Costs, qualities and
    latencies may be unknown, and the pool may be empty.
    """
    name = policy.ref
    for pool, situation in product(_pools(deployments), _situations()):
        before = copy.deepcopy((pool, situation))
        first = list(policy.rank(pool, situation))
        _expect(list(policy.rank(pool, situation)) == first, "ranks differently when asked again")
        _expect((pool, situation) == before, "changes what it was given")
        _check_scores(first, {candidate.deployment for candidate in pool})
    _expect(policy.ref == name, "its ref changes")
    _expect(bool(name.name), "its ref has no name")


def _check_scores(scores: Sequence[Score], known: set[str]) -> None:
    ranked = [score.deployment for score in scores]
    _expect(len(set(ranked)) == len(ranked), f"ranks somebody twice: {ranked}")
    _expect(set(ranked) <= known, f"ranks {sorted(set(ranked) - known)}, whom it was not given")
    _expect(all(math.isfinite(score.value) for score in scores), "a value is not finite")
    shares = [score.propensity for score in scores]
    _expect(all(0 <= share <= 1 for share in shares), f"a propensity is outside 0..1: {shares}")
    _expect(not scores or abs(sum(shares) - 1) < _SUM, f"propensities sum to {sum(shares):g}")
    best = max(scores, key=lambda score: score.value, default=None)
    _expect(best is None or best.propensity > 0, "puts first whom it never puts first")


def _pools(deployments: Sequence[str]) -> Iterable[list[Candidate]]:
    yield []
    for cost, quality, latency in ((10, 0.5, 100.0), (None, None, None), (0, 0.0, 0.0)):
        yield [
            Candidate(
                deployment=name,
                model=f"model-{name}",
                cost_pico_usd=None if cost is None else cost * (place + 1),
                quality=None if quality is None else quality + place / 10,
                latency_ms=None if latency is None else latency * (place + 1),
            )
            for place, name in enumerate(deployments)
        ]
    yield [Candidate(deployment=deployments[0], model=f"model-{deployments[0]}")]


def _situations() -> Iterable[Situation]:
    for ident, intent, quality in (
        ("r_1", "code", None),
        ("r_2", None, 0.9),
        ("r_3", "other", 0.0),
    ):
        yield Situation(
            request=Request(
                id=ident,
                body={"messages": [{"role": "user", "content": "hello"}]},
                constraints=Constraints(quality=quality),
            ),
            features=Features(input_tokens={"o200k_base": 5}, output_tokens=100),
            prediction=Prediction(classifier=Ref(name="check")),
            snapshot=Snapshot(as_of=1_700_000_000.0),
            intent=intent,
        )


def check_classifier(classifier: Classifier, texts: Sequence[str] = ODD_TEXTS) -> None:
    """Checks a classifier on ``texts``. Raises ClassifierFailure.

    A classifier never raises, gives the same result alone, in a batch and in two stages, gives
    probabilities with the most likely first and scores in 0..1, and no verdict rather than an
    invalid number.
    """
    name = classifier.ref
    _require(bool(name.name), "its ref has no name")
    _require(0 <= classifier.threshold <= 1, f"its threshold is {classifier.threshold}")
    conversations: list[list[Message]] = [[{"role": "user", "content": text}] for text in texts]
    conversations.append([])
    alone = []
    for conversation in conversations:
        found = classifier.predict(conversation)
        (begun,) = classifier.begin_batch([conversation])
        (staged,) = [begun] if isinstance(begun, Prediction) else classifier.finish_batch([begun])
        _require(_near(staged, found), "two stages say something else than one")
        _require(_near(classifier.predict(conversation), found), "says something else again")
        _check_prediction(found, frozenset(classifier.intents))
        alone.append(found)
    together = classifier.predict_batch(conversations)
    _require(len(together) == len(alone), "a batch has another number of answers")
    for one, other in zip(alone, together, strict=True):
        _require(_near(one, other), "says something else in a batch")
    _require(classifier.ref == name, "its ref changes")


def _check_prediction(found: Prediction, intents: frozenset[str]) -> None:
    shares = [share for _, share in found.intents]
    names = [label for label, _ in found.intents]
    _require(len(set(names)) == len(names), f"an intent is named twice: {names}")
    _require(set(names) <= intents, f"names {sorted(set(names) - intents)}, which it does not know")
    _require(all(0 <= share <= 1 for share in shares), f"a probability is outside 0..1: {shares}")
    _require(sum(shares) <= 1 + 1e-3, f"probabilities sum to {sum(shares):g}")
    _require(shares == sorted(shares, reverse=True), "the most likely intent is not first")
    for score in (found.harm, found.injection):
        _require(score is None or 0 <= score <= 1, f"a safety score is {score}")


def _near(one: Prediction, other: Prediction) -> bool:
    """Whether two predictions are equal, up to rounding."""
    shares, others = dict(one.intents), dict(other.intents)
    pairs = [(shares.get(k, 0.0), others.get(k, 0.0)) for k in {*shares, *others}]
    scores = ((one.harm, other.harm), (one.injection, other.injection))
    if any((a is None) != (b is None) for a, b in scores):
        return False
    pairs += [(a, b) for a, b in scores if a is not None and b is not None]
    return all(abs(a - b) < 1e-3 for a, b in pairs)


def _expect(holds: bool, message: str) -> None:  # noqa: FBT001 -- an assertion reads this way
    if not holds:
        raise PolicyFailure(message)


def _require(holds: bool, message: str) -> None:  # noqa: FBT001 -- an assertion reads this way
    if not holds:
        raise ClassifierFailure(message)
