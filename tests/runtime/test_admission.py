"""What a full budget leaves of a request: the constraints that it is decided again with."""

from dataclasses import replace
from typing import Any

import pytest

from tests.worlds import catalog, deployment, price
from turnout.core import Bound, Budget, Constraints, Standing
from turnout.runtime.admission import narrowed

TWO_PLACES = [replace(deployment(name, price(1, 1)), group="twin") for name in ("twin", "twin#2")]
CARDS = catalog(*catalog().deployments.values(), *TWO_PLACES)
DRAFT = Bound(30, 3, parts={"fast": Bound(10, 1), "strong": Bound(20, 2)})
MOST = {"fast": DRAFT, "coder": Bound(20, 200), "twin": Bound(5, 5), "twin#2": Bound(50, 5)}


def full(per: Any, left: int, unit: Any = "usd", subject: str = "s", needed: int | None = 1) -> Any:
    """A budget of 100 with so much left, which did not have room."""
    budget = Budget(per=per, window="total", unit=unit, limit=100)
    return Standing(
        budget=budget, subject=subject, window_id="total", resets_ms=None, spent=100 - left,
        held=0, needed=needed,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("own", "standings", "narrower"),
    [
        ({}, [full("key", 5)], {"most_pico_usd": 5}),
        ({}, [full("key", 5, "tokens")], {"most_tokens": 5}),
        ({"most_pico_usd": 3}, [full("key", 5)], {"most_pico_usd": 3}),
        ({"most_tokens": 3}, [full("key", 5, "tokens")], {"most_tokens": 3}),
        ({"most_tokens": 9}, [full("team", 8, "tokens"), full("all", 7)],
         {"most_tokens": 8, "most_pico_usd": 7}),
        ({}, [full("key", 5), full("team", 4)], {"most_pico_usd": 4}),
        ({"deny": {"x"}}, [full("model", 19, subject="coder")], {"deny": {"x", "coder"}}),
        ({}, [full("model", 20, subject="coder")], {"deny": {"coder"}}),
        ({}, [full("model", 199, "tokens", "coder")], {"deny": {"coder"}}),
        ({}, [full("model", 0, "requests", "coder")], {"deny": {"coder"}}),
        # Of two places the one that is too dear alone.
        ({}, [full("model", 5, subject="twin")], {"deny": {"twin#2"}}),
        ({}, [full("model", 4, subject="twin")], {"deny": {"twin", "twin#2"}}),
        # A draft counts against its model with its own part; without a judge nothing is drafted.
        ({}, [full("model", 9, subject="fast")], {"deny": {"fast"}}),
        ({}, [full("model", 15, subject="fast")], {"deny": {"fast"}}),
        ({}, [full("model", 15, subject="strong")], {"drafts": False}),
        ({}, [full("model", 15, subject="other")], {"deny": {"other"}}),
    ],
)  # fmt: skip
def test_a_request_is_decided_again_within_what_is_left(
    own: dict[str, Any], standings: list[Standing], narrower: dict[str, Any]
) -> None:
    """The least of all limits, and without the models whose own budgets are full."""
    fields = [
        {k: frozenset(v) if k == "deny" else v for k, v in d.items()} for d in (own, narrower)
    ]
    before, after = Constraints(**fields[0]), Constraints(**fields[0] | fields[1])
    assert narrowed(before, tuple(standings), MOST, CARDS) == after


def test_a_budget_has_no_room_for_an_unknown_price() -> None:
    """Those that have none are left out, whoever the budget is for."""
    most = {"fast": Bound(None, 1), "coder": Bound(5, 1)}
    for per in ("key", "all"):
        found = narrowed(Constraints(), (full(per, 50, needed=None),), most, CARDS)
        assert found == Constraints(deny=frozenset({"fast"}))
    of_model = full("model", 50, subject="fast", needed=None)
    assert narrowed(Constraints(), (of_model,), most, CARDS).deny == {"fast"}


def test_a_model_that_fits_alone_but_not_beside_its_label_is_left_out() -> None:
    """Whether or not there are drafts that it might verify."""
    alone = {"coder": Bound(20, 200)}
    found = narrowed(Constraints(), (full("model", 25, subject="coder"),), alone, CARDS)
    assert found == Constraints(deny=frozenset({"coder"}))
