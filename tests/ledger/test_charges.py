"""What a request takes of which budgets, and how much of that its calls used."""

from typing import Any

import pytest

from tests.ledger.money import CATALOG, decided, make_request, outcome
from turnout.core import Bound, Budget, Caller, Usage
from turnout.core.budget import Unit
from turnout.ledger.charges import Limits, Spent, highest_cost, spent_of, uses
from turnout.ledger.entries import Charge, Use
from turnout.ledger.pricing import call_of


def budget(per: Any, unit: Unit = "usd", name: str | None = None, **more: Any) -> Budget:
    """At most 1,000 in all."""
    return Budget(per=per, window=more.get("window", "total"), unit=unit, limit=1000, name=name)


def taken(charges: tuple[Charge, ...]) -> dict[str, int | None]:
    """How much each account is charged."""
    assert len({charge.account for charge in charges}) == len(charges)
    return {charge.account: charge.amount for charge in charges}


ONE, TWO = Bound(10, 100), Bound(25, 50)
CALLER = Caller(key="k2", keys=("k2", "k1"), team="red")


@pytest.mark.parametrize(
    ("asked", "budgets", "expected"),
    [
        ({}, [budget(per) for per in ("all", "key", "team", "session")], {"all:all:usd": 25}),
        ({"caller": CALLER}, [budget("key"), budget("team", "tokens")],
         {"key:k2:usd": 25, "key:k1:usd": 25, "team:red:tokens": 100}),
        ({"caller": Caller(key="k")}, [budget("key"), budget("team")], {"key:k:usd": 25}),
        ({"caller": CALLER}, [budget("key", name="k1"), budget("team", name="blue")],
         {"key:k1:usd": 25}),
        ({"session": "s"}, [budget("session")], {"session:s:usd": 25}),
        ({"session": "s", "tenant": "t"}, [budget("session", name="s")], {"session:t/s:usd": 25}),
        ({}, [budget("model", "tokens"), budget("model", "requests")],
         {"model:a:tokens": 100, "model:a:requests": 1, "model:b:tokens": 50,
          "model:b:requests": 1}),
        ({}, [budget("model", name="b")], {"model:b:usd": 25}),
    ],
)  # fmt: skip
def test_a_request_counts_against_whom_it_is_of(
    asked: dict[str, Any], budgets: list[Budget], expected: dict[str, int | None]
) -> None:
    """The caller's whole line of keys, its team, its session, and each model of the plan."""
    request = make_request(1, **asked)
    bounds = {"a": ONE, "b": TWO}
    assert taken(Limits(budgets).charges(request, bounds, [], 0)) == expected


def test_a_budget_with_a_name_replaces_the_general_one_of_its_window_and_unit() -> None:
    """And no other; without budgets there is nothing to charge."""
    own = [budget("key", name="k"), budget("key", "tokens", name="k", window="day")]
    general = [budget("key"), budget("key", "tokens"), budget("key", "requests")]
    limits = Limits([*own, *general])
    found = list(limits.applying_to("key", "k"))
    assert sorted(b.id for b in found) == sorted(
        ["key:k:total:usd", "key:k:day:tokens", "key:*:total:tokens", "key:*:total:requests"]
    )
    assert list(limits.applying_to("key", "other")) == general
    assert list(Limits(own).applying_to("key", "other")) == []
    assert list(Limits(own).applying_to("key", "k")) == own
    assert (bool(limits), bool(Limits())) == (True, False)
    assert Limits().charges(make_request(1), {"a": ONE}, [], 0) == ()


@pytest.mark.parametrize(
    ("bounds", "spent", "expected"),
    [
        ([ONE, TWO], [], (25, 100)),
        ([ONE], [("a", 3, 7), ("b", 4, 1)], (17, 108)),
        ([ONE, Bound(None, 5)], [], (None, 100)),
        ([ONE], [("a", None, 7)], (None, 107)),
        ([], [("a", 3, 7)], (3, 7)),
        ([], [], (0, 0)),
    ],
)
def test_a_hold_is_for_what_is_spent_and_the_dearest_call_to_come(
    bounds: list[Bound], spent: list[Spent], expected: tuple[int | None, int]
) -> None:
    """An unknown price makes it unknown, wherever it stands."""
    limits = Limits([budget("all"), budget("all", "tokens")])
    plan = {str(place): bound for place, bound in enumerate(bounds)}
    found = taken(limits.charges(make_request(1), plan, spent, 0))
    assert (found["all:all:usd"], found["all:all:tokens"]) == expected


def test_a_models_places_and_its_verdicts_count_for_it() -> None:
    """Of calls made together each model has its part; of several places the dearest."""
    limits = Limits([budget("model"), budget("model", "requests")])
    draft = Bound(35, 9, parts={"a": Bound(10, 5), "j": Bound(20, 2), "j#2": Bound(5, 2)})
    plan = {"a": draft, "b": TWO, "b#2": Bound(30, 1)}
    usd = {"model:a:usd": 10, "model:j:usd": 25, "model:b:usd": 30}
    requests = {name.replace(":usd", ":requests"): 1 for name in usd}
    assert taken(limits.charges(make_request(1), plan, [], 0)) == usd | requests
    nothing = limits.charges(make_request(1), plan, [], 0, requests=0)
    assert taken(nothing) == usd | dict.fromkeys(requests, 0)
    # A model that was called has used its request, whatever becomes of this one.
    called = taken(limits.charges(make_request(1), plan, [("b#2", 7, 1)], 0, requests=0))
    assert (called["model:b:requests"], called["model:b:usd"]) == (1, 37)
    assert (called["model:a:requests"], called["model:a:usd"]) == (0, 10)


def test_a_model_that_is_out_of_the_plan_keeps_what_it_has_spent() -> None:
    """If it was called; what was only held is free again."""
    limits = Limits([budget("model"), budget("all")])
    before = limits.charges(make_request(1), {"a": ONE, "b": TWO}, [], 0)
    found = limits.charges(make_request(1), {"c": ONE}, [("a", 4, 40)], 0, before=before)
    assert taken(found) == {"model:a:usd": 4, "model:c:usd": 10, "all:all:usd": 14}


CALLS: list[Spent] = [("a#2", 3, 30), ("b", 4, 40)]


@pytest.mark.parametrize(
    ("account", "calls", "used"),
    [
        ("all:all:usd", CALLS, 7),
        ("key:k:x:tokens", CALLS, 70),
        ("model:a:usd", CALLS, 3),
        ("model:b:tokens", CALLS, 40),
        ("model:c:tokens", CALLS, 0),
        ("model:a:requests", CALLS, 9),
        ("model:c:requests", CALLS, 0),
        ("all:all:requests", [], 9),
        ("model:a:usd", [("a", None, 1), ("a", 4, 1)], 9),
        ("all:all:usd", [("a", None, 1), ("a", 40, 1)], 40),
        ("model:b:usd", [("a", None, 1), ("b", 4, 1)], 4),
        ("all:all:usd", [], 0),
    ],
)
def test_of_a_hold_the_calls_have_used_their_part(
    account: str, calls: list[Spent], used: int
) -> None:
    """A call of unknown cost has used all that was held, and at least what is known."""
    assert uses([(account, "w", 9)], calls) == (Use(account, "w", 9, used),)


def test_a_call_uses_all_its_tokens() -> None:
    """Fresh, read, written, answered and thought, each once."""
    used = Usage(input=1, cache_read=20, cache_write=300, output=4000, reasoning=50_000)
    decision = decided(make_request(1))
    call = call_of(outcome(decision, used), 0, CATALOG, None)
    assert spent_of([call]) == [("large", call.cost_pico_usd, 54_321)]


def test_the_most_that_a_call_costs_is_unknown_where_one_price_is() -> None:
    """Never the highest of those that are known."""
    assert highest_cost([ONE, TWO]) == 25
    assert highest_cost([ONE, Bound(None, 1)]) is None
    assert highest_cost([]) == 0
