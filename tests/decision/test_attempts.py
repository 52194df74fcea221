"""The walk tries again, goes on or ends by rule."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from tests.worlds import NOW, catalog, deployment, features, prediction, price, request, rulebook
from turnout.catalog import ModelCard
from turnout.core import Decision, Fault, Outcome
from turnout.decision import Attempt, RetryRules, decide, next_attempt
from turnout.evaluation.replay import replay

RULES = RetryRules(retries=1)
TRANSIENT = Fault(kind="unavailable", detail="500", retry="transient")
BUSY = Fault(kind="rate_limited", detail="429", retry="rate_limit", retry_after_s=3)
BROKE = Fault(kind="no_credit", detail="402", scope="provider")
REJECTED = Fault(kind="rejected", detail="draft rejected")
WRONG = Fault(kind="invalid_request", detail="400", scope="request", blame="client")


def plan(**more: Any) -> Decision:
    """A plan of three routes: coder, fast, strong."""
    return decide(request(), features(), prediction(), NOW, rulebook(**more))


def outcome(attempt: Attempt, fault: Fault | None, *, released: bool = False) -> Outcome:
    """What the attempt came to."""
    return Outcome(
        decision_id="d",
        route=attempt.route,
        ordinal=attempt.ordinal,
        status="failed" if fault else "ok",
        error=fault,
        released=released,
    )


def routes_tried(
    decision: Decision, script: dict[str, list[Fault | None]], **more: Any
) -> list[str]:
    """The deployments tried, with waits, when each answers by its script."""
    left = {name: list(faults) for name, faults in script.items()}
    tried: list[str] = []

    def look_up(attempt: Attempt) -> Outcome:
        wait = f"+{attempt.delay_s:g}" if attempt.delay_s else ""
        tried.append(attempt.route.deployment + wait)
        return outcome(attempt, left[attempt.route.deployment].pop(0), **more)

    outcomes = replay(decision, RULES, look_up)
    assert [one.ordinal for one in outcomes] == list(range(len(tried)))
    return tried


def delays(
    decision: Decision,
    faults: list[Fault | None],
    closed: set[str] | None = None,
    rules: RetryRules = RULES,
) -> list[float]:
    """The seconds before each attempt, when the walk's attempts end with these faults."""
    outcomes: list[Outcome] = []
    found = []
    for fault in faults:
        attempt = next_attempt(decision, rules, outcomes, closed or set())
        if attempt is None:
            break
        found.append(attempt.delay_s)
        outcomes.append(outcome(attempt, fault))
    return found


def test_a_first_success_ends_the_walk() -> None:
    """Nothing else is called."""
    assert routes_tried(plan(), {"coder": [None]}) == ["coder"]


def test_a_transient_fault_is_retried_then_falls_over() -> None:
    """One retry with a drawn wait, then the next route."""
    tried = routes_tried(plan(), {"coder": [TRANSIENT, TRANSIENT], "fast": [None]})
    assert [t.split("+")[0] for t in tried] == ["coder", "coder", "fast"]
    assert 0 < float(tried[1].split("+")[1]) <= RULES.base_s


def test_waits_double_up_to_the_cap() -> None:
    """Each is drawn from zero to its bound, so that some are longer than the first bound."""
    rules = RetryRules(retries=6, base_s=0.5, cap_s=4)
    waits = delays(plan(), [TRANSIENT] * 7, rules=rules)[1:]
    assert all(0 < wait < most for wait, most in zip(waits, (0.5, 1, 2, 4, 4, 4), strict=True))
    assert max(waits) > 1


def test_a_rate_limit_goes_on_at_once_while_there_are_others() -> None:
    """Waiting is for the last route only."""
    tried = routes_tried(plan(), {"coder": [BUSY], "fast": [BUSY], "strong": [BUSY, None]})
    assert tried == ["coder", "fast", "strong", "strong+3"]


def test_a_rate_limit_is_waited_for_though_earlier_routes_failed_for_a_moment() -> None:
    """The walk does not go back to them."""
    faults = [TRANSIENT, TRANSIENT, BUSY, BUSY, None]
    assert delays(plan(), faults)[-1] == 3


def test_a_rate_limit_is_waited_for_if_the_others_are_closed() -> None:
    """A deployment whose budget is full is no reason to go on without waiting."""
    assert delays(plan(), [BUSY, None], {"fast", "strong"}) == [0, 3]


def test_a_rate_limit_is_waited_for_if_the_others_are_of_a_rejected_model() -> None:
    """Another deployment of a model whose draft was rejected will not be tried."""
    cards = catalog(
        deployment("coder", price(1, 1)),
        deployment("fast", price(1, 1)),
        replace(deployment("strong", price(9, 9)), card=ModelCard(id="model-coder")),
    )
    tried = routes_tried(plan(cards=cards), {"coder": [REJECTED], "fast": [BUSY, None]})
    assert tried == ["coder", "fast", "fast+3"]


def test_a_wait_longer_than_allowed_is_not_waited() -> None:
    """The longest wait is the longest that is waited."""
    longest, longer = (
        structs.replace(BUSY, retry_after_s=RULES.longest_wait_s + more) for more in (0, 1)
    )
    tried = routes_tried(plan(), {"coder": [longer], "fast": [longer], "strong": [longer]})
    assert tried == ["coder", "fast", "strong"]
    tried = routes_tried(plan(), {"coder": [longer], "fast": [longer], "strong": [longest, None]})
    assert tried == ["coder", "fast", "strong", "strong+20"]


def test_a_rejected_draft_is_not_drafted_again_at_another_place() -> None:
    """A model with several places gets one chance."""
    cards = catalog(
        deployment("coder", price(1, 1)),
        replace(deployment("fast", price(1, 1)), card=ModelCard(id="model-coder")),
        deployment("strong", price(9, 9)),
    )
    tried = routes_tried(plan(cards=cards), {"coder": [REJECTED], "strong": [None]})
    assert tried == ["coder", "strong"]


def test_a_provider_without_credit_takes_all_its_models_down() -> None:
    """After a 402 only another provider is tried."""
    cards = catalog(
        deployment("coder", price(1, 1), provider="a"),
        deployment("fast", price(1, 1), provider="a"),
        deployment("strong", price(9, 9), provider="b"),
    )
    assert routes_tried(plan(cards=cards), {"coder": [BROKE], "strong": [None]}) == [
        "coder",
        "strong",
    ]


def test_the_callers_mistake_is_not_tried_elsewhere() -> None:
    """A request that is wrong stays wrong."""
    assert routes_tried(plan(), {"coder": [WRONG]}) == ["coder"]


@pytest.mark.parametrize("fault", [TRANSIENT, BUSY, BROKE])
def test_nothing_follows_once_something_was_released(fault: Fault) -> None:
    """After the first byte a failure ends the walk."""
    assert routes_tried(plan(), {"coder": [fault]}, released=True) == ["coder"]


def test_a_blocked_decision_is_not_walked() -> None:
    """No route, no call."""
    blocked = decide(request(), features(), prediction(unsafe=1.0), NOW, rulebook())
    assert routes_tried(blocked, {}) == []
