"""The balances of budgets, as one batch changes them."""

from typing import Any

import pytest

from turnout.core import Budget, Standing
from turnout.ledger.balances import Balances, accounts_of, refusal
from turnout.ledger.entries import Charge, Hold

BUDGET = Budget(per="key", window="total", unit="usd", limit=100)


def charge(amount: int | None, subject: str = "a") -> Charge:
    """So much of a key's budget."""
    return Charge(f"key:{subject}:usd", "total", amount, subject, BUDGET, None)


def hold(*charges: Charge, replaces: tuple[Charge, ...] = ()) -> Hold:
    """A hold of these charges."""
    return Hold(
        "h", "r", at_ms=0, amount_pico_usd=None, lease_until_ms=0, owner="o",
        charges=charges, replaces=replaces,
    )  # fmt: skip


@pytest.mark.parametrize(("more", "held"), [(90, 90), (91, 40), (None, 40)])
def test_a_hold_that_cannot_grow_stays_as_it_was(more: int | None, held: int) -> None:
    """What it had set aside is neither freed nor counted twice."""
    balances = Balances({("key:a:usd", "total"): (10, 40)})
    refused = balances.apply([hold(charge(more), replaces=(charge(40),))])
    assert balances.rows() == [("key:a:usd", "total", 10, held)]
    assert bool(refused) == (held == 40)
    for error in refused.values():
        (standing,) = error.standings
        assert (standing.spent, standing.held, standing.needed) == (10, 40, more)


def test_a_hold_leaves_the_accounts_that_it_does_not_need_any_more() -> None:
    """Those are locked as well, in the order in which every process locks them."""
    change = hold(charge(5, "b"), replaces=(charge(40, "c"), charge(3, "b")))
    accounts = accounts_of([change, hold(*(charge(1, subject) for subject in "hgfeda"))])
    assert accounts == [(f"key:{subject}:usd", "total") for subject in "abcdefgh"]
    balances = Balances(dict.fromkeys(reversed(accounts), (0, 40)))
    assert balances.apply([change]) == {}
    assert [row[3] for row in balances.rows()] == [40, 42, 0, 40, 40, 40, 40, 40]


def full(left: int, needed: int | None = 50, unit: Any = "usd") -> Standing:
    """A budget of 100 that did not have room."""
    budget = Budget(per="key", window="total", unit=unit, limit=100)
    return Standing(
        budget=budget, subject="a", window_id="total", resets_ms=None, spent=100 - left, held=0,
        needed=needed,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("standings", "said"),
    [
        ([full(0), full(0, 1, "requests")], "budget used up: "),
        ([full(0), full(9)], "the request may use more than is left: "),
        ([full(9), full(9, None)], "a model of unknown price "),
    ],
)
def test_a_refusal_says_what_would_help(standings: list[Standing], said: str) -> None:
    """To wait, a shorter answer, or a price."""
    assert str(refusal(standings)).startswith(said)
