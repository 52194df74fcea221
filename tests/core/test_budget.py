"""Windows, sums and standings of budgets, to the instant and the word."""

from datetime import UTC, datetime
from typing import Any

import pytest

from turnout.core import Bound, Budget, Standing, window_of
from turnout.core.budget import sum_of_bounds


def _ms(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return round(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("window", "name", "ends"),
    [
        ("minute", "2027-12-31T23:59", (2028, 1, 1)),
        ("hour", "2027-12-31T23", (2028, 1, 1)),
        ("day", "2027-12-31", (2028, 1, 1)),
        ("week", "2027-W52", (2028, 1, 3)),
        ("month", "2027-12", (2028, 1, 1)),
    ],
)
def test_a_window_is_named_in_utc_and_ends_where_the_next_begins(
    window: Any, name: str, ends: tuple[int, ...]
) -> None:
    """Up to its last millisecond, and from the end on it is another one."""
    last = _ms(*ends) - 1
    assert window_of(window, _ms(2027, 12, 31, 23, 59)) == (name, _ms(*ends))
    assert window_of(window, last) == window_of(window, last - 59_999)
    assert window_of(window, last + 1)[0] != window_of(window, last)[0]


@pytest.mark.parametrize(
    ("when", "ends"),
    [((2027, 1, 31, 23, 59), (2027, 2, 1)), ((2028, 2, 1), (2028, 3, 1))],
)
def test_a_month_ends_with_its_last_day(when: tuple[int, ...], ends: tuple[int, ...]) -> None:
    """Long or short; a total never ends."""
    assert window_of("month", _ms(*when))[1] == _ms(*ends)
    assert window_of("total", _ms(*when)) == ("total", None)


def test_what_two_calls_use_together_is_unknown_where_one_is() -> None:
    """The tokens add up all the same."""
    assert sum_of_bounds(Bound(2, 10), Bound(3, 20)) == Bound(5, 30)
    assert sum_of_bounds(Bound(None, 10), Bound(3, 20)) == Bound(None, 30)
    assert sum_of_bounds(Bound(2, 10), Bound(None, 20)) == Bound(None, 30)


_RESET = _ms(2026, 12, 1)


@pytest.mark.parametrize(
    ("budget", "more", "line"),
    [
        (
            Budget(per="team", name="x", window="month", unit="usd", limit=2 * 10**12),
            {"needed": 10**12},
            (
                "team s: $2.000000 a month, spent $0.000001, held $0.000001, left $2.000000, "
                "asked for $1.000000, resets at 2026-12-01T00:00:00Z"
            ),
        ),
        (
            Budget(per="key", window="day", unit="tokens", limit=5000),
            {"needed": 6000},
            (
                "key s: 5,000 tokens a day, spent 1, held 1, left 4,998, asked for 6,000, "
                "resets at 2026-12-01T00:00:00Z"
            ),
        ),
        (
            Budget(per="model", window="total", unit="requests", limit=1),
            {"needed": 1, "resets_ms": None},
            "model s: 1 requests in total, spent 1, held 1, left 0",
        ),
        (
            Budget(per="all", window="hour", unit="tokens", limit=5),
            {"resets_ms": None},
            "all s: 5 tokens an hour, spent 1, held 1, left 3",
        ),
    ],
)
def test_a_standing_is_one_line_of_numbers(
    budget: Budget, more: dict[str, int | None], line: str
) -> None:
    """What was asked for is said where it is known and is not plainly one request."""
    fields: dict[str, Any] = {"resets_ms": _RESET, **more}
    assert (
        Standing(budget=budget, subject="s", window_id="w", spent=1, held=1, **fields).line()
        == line
    )


def test_a_standing_for_programs_has_exact_amounts() -> None:
    """Dollars as decimal text, everything else as whole numbers."""
    usd = Budget(per="key", name="k", window="day", unit="usd", limit=10**12)
    fields: dict[str, Any] = {"subject": "k", "window_id": "w", "spent": 1, "held": 10**11}
    shown = Standing(budget=usd, resets_ms=_RESET, **fields).as_dict()
    assert (shown["budget"], shown["spent"], shown["held"]) == (
        "key:k:day:usd",
        "0.000000000001",
        "0.1",
    )
    assert (shown["left"], shown["limit"]) == ("0.899999999999", "1")
    assert shown["resets_at"] == "2026-12-01T00:00:00Z"
    tokens = Budget(per="key", window="total", unit="tokens", limit=7)
    shown = Standing(budget=tokens, resets_ms=None, **fields).as_dict()
    assert (shown["budget"], shown["limit"], shown["left"]) == ("key:*:total:tokens", 7, 0)
    assert shown["resets_at"] is None
