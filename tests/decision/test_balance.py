"""Deployments of one model share its load, deterministically, and stand together in the plan."""

from collections import Counter
from dataclasses import replace

import pytest
from msgspec import structs

from tests.worlds import catalog, deployment, features, prediction, price, request, rulebook
from turnout.core import Exclusion, Fault, Outcome, Snapshot
from turnout.decision import Balance, Group, RetryRules, Rulebook, decide, next_attempt
from turnout.decision.balance import SIGNED_BY, Rule


def rules(rule: Rule = "least_outstanding", quotas: tuple[str | None, ...] = ()) -> Rulebook:
    """The recipe's rules with the coder at three places, of weights 1, 2 and 1."""
    weights = {"coder": 1.0, "coder#2": 2.0, "coder#3": 1.0}
    places = [
        replace(
            deployment(name, price(2, 4), provider=f"p{i}"),
            group="coder",
            weight=weights[name],
            quota=quotas[i] if quotas else None,
        )
        for i, name in enumerate(weights)
    ]
    cards = catalog(deployment("fast", price(1, 2)), *places)
    balance = Balance(
        groups={"coder": Group(weights=weights, rule=rule)},
        group_of=dict.fromkeys(weights, "coder"),
    )
    return replace(rulebook(cards=cards), balance=balance)


def plan(book: Rulebook, ident: str = "r_1", **more: object) -> list[str]:
    """The deployments of the plan in order."""
    asked = structs.replace(
        request(ident=ident), **{k: v for k, v in more.items() if k != "snapshot"}
    )
    now = more.get("snapshot", Snapshot())
    assert isinstance(now, Snapshot)
    decision = decide(asked, features(), prediction("code"), now, book)
    return [route.deployment for route in decision.routes]


def test_the_places_of_a_model_come_before_the_next_model() -> None:
    """All three places of the intent's model are tried before its fallback."""
    order = plan(rules())
    assert set(order[:3]) == {"coder", "coder#2", "coder#3"}
    assert order[3:] == ["fast"]


def test_the_fewest_calls_under_way_for_its_weight_comes_first() -> None:
    """2 calls at weight 2 are as busy as 1 at weight 1; an idle place is first."""
    busy = Snapshot(outstanding={"coder": 3, "coder#2": 2, "coder#3": 2})
    assert plan(rules(), snapshot=busy)[:3] == ["coder#2", "coder#3", "coder"]
    idle = Snapshot(outstanding={"coder": 0, "coder#2": 1, "coder#3": 1})
    assert plan(rules(), snapshot=idle)[0] == "coder"


@pytest.mark.parametrize("rule", ["weighted", "least_outstanding"])
def test_equal_load_is_drawn_by_weight_and_the_same_at_replay(rule: Rule) -> None:
    """Half of the requests go to the place with half of the weight; a replay draws the same."""
    book = rules(rule)
    firsts = Counter(plan(book, f"r_{i}")[0] for i in range(2000))
    assert 900 < firsts["coder#2"] < 1100
    assert 420 < firsts["coder"] < 580
    assert [plan(book, f"r_{i}") for i in range(20)] == [plan(book, f"r_{i}") for i in range(20)]


def test_propensities_follow_the_weights_and_sum_to_one() -> None:
    """Where the weights draw, each place is first as often as its propensity says."""
    decision = decide(request(), features(), prediction("code"), Snapshot(), rules("weighted"))
    shares = {c.deployment: c.propensity for c in decision.candidates}
    assert shares["coder#2"] == pytest.approx(0.5)
    assert sum(shares.values()) == pytest.approx(1.0)


def test_the_fewest_calls_under_way_leave_nothing_to_chance() -> None:
    """The first place has the whole propensity; the others say whose place they share."""
    busy = Snapshot(outstanding={"coder": 3, "coder#2": 2, "coder#3": 2})
    decision = decide(request(), features(), prediction("code"), busy, rules())
    told = {c.deployment: (c.propensity, c.reason) for c in decision.candidates}
    assert (told["coder#2"][0], told["coder#3"][0]) == (1, 0)
    assert told["coder#3"][1] == "another deployment of coder" != told["coder#2"][1]


def test_a_weighted_draw_does_not_look_at_the_load() -> None:
    """However many calls are under way at a place, it has its share."""
    busy, idle = (Snapshot(outstanding={"coder#2": calls}) for calls in (50, 0))
    book = rules("weighted")
    for i in range(20):
        assert plan(book, f"r_{i}", snapshot=busy) == plan(book, f"r_{i}", snapshot=idle)


def test_a_session_stays_at_its_place() -> None:
    """The draw is the session's, so that a provider's prompt cache is met again."""
    book = rules("weighted")
    assert len({plan(book, f"r_{i}", session="s1")[0] for i in range(50)}) == 1


def test_thoughts_go_back_to_the_place_that_signed_them() -> None:
    """However busy it is: no other place can read them."""
    busy = Snapshot(outstanding={"coder#3": 50})
    assert plan(rules(), snapshot=busy, tags={SIGNED_BY: "coder#3"})[0] == "coder#3"


def test_a_name_asked_for_means_all_its_places() -> None:
    """The model by name goes to its places and to no other model."""
    assert set(plan(rules(), model="coder")) == {"coder", "coder#2", "coder#3"}


def test_an_unavailable_place_leaves_its_load_to_the_others() -> None:
    """A place that cools down is no candidate."""
    down = Snapshot(unavailable={"coder#2": Exclusion("cooling_down", "cooling down")})
    assert "coder#2" not in plan(rules(), snapshot=down)


def test_a_quota_that_is_used_up_rules_out_its_other_places() -> None:
    """After a 429 only a place behind another quota is called at once."""
    book = rules(quotas=("shared", "shared", "own"))
    decision = decide(request(), features(), prediction("code"), Snapshot(), book)
    called: list[str] = []
    outcomes: list[Outcome] = []
    while (attempt := next_attempt(decision, RetryRules(), outcomes)) is not None:
        called.append(attempt.route.deployment)
        fault = Fault(kind="rate_limited", detail="", retry="rate_limit", retry_after_s=3600.0)
        outcome = Outcome(
            decision_id=decision.id,
            route=attempt.route,
            status="failed",
            ordinal=attempt.ordinal,
            error=fault,
        )
        outcomes.append(outcome)
    assert len(called) == 3
    assert len({"coder", "coder#2"} & set(called)) == 1
    assert {"coder#3", "fast"} < set(called)
