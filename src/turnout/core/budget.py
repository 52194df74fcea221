"""Budgets: how much a key, team, session or model may use in a window of time, and has used.

Invariant: a window is a pure function of the instant, in UTC, so that every process agrees on it
whatever its time zone, and a clock that is set back opens no second window.
This module does not know clocks, storage or who is asking.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal

from msgspec import Struct

from turnout.core.money import format_usd, plain_usd

Unit = Literal["usd", "requests", "tokens"]
Per = Literal["all", "team", "key", "session", "model"]
Window = Literal["minute", "hour", "day", "week", "month", "total"]
WhenFull = Literal["refuse", "cheaper"]

MINUTE_MS = 60_000
_PER_WINDOW: Mapping[Window, str] = {
    "minute": "a minute",
    "hour": "an hour",
    "day": "a day",
    "week": "a week",
    "month": "a month",
    "total": "in total",
}


class Bound(Struct, frozen=True):
    """The most that one call can use; the cost is None where the price is unknown.

    When other deployments are called as well (to verify a draft), ``parts`` has each one's share by
    deployment, that of the call itself included.
    """

    cost_pico_usd: int | None
    tokens: int
    parts: Mapping[str, "Bound"] | None = None


NO_BOUNDS: Mapping[str, Bound] = {}


def sum_of_bounds(one: Bound, other: Bound) -> Bound:
    """The most that two calls can use together."""
    cost = None
    if one.cost_pico_usd is not None and other.cost_pico_usd is not None:
        cost = one.cost_pico_usd + other.cost_pico_usd
    return Bound(cost, one.tokens + other.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """At most ``limit`` of ``unit`` in each ``window``.

    Where ``unit`` is ``usd``, the limit is in pico-dollars. With ``name`` the budget is for that
    key, team, session or model; without, each of them has one of its own. A request that does not
    fit is refused, or decided again among the models that fit, as ``when_full`` says.
    """

    per: Per
    window: Window
    unit: Unit
    limit: int
    name: str | None = None
    when_full: WhenFull = "refuse"

    @property
    def id(self) -> str:
        """What identifies a budget: whom it is for, its window and its unit."""
        return f"{self.per}:{self.name or '*'}:{self.window}:{self.unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A budget's numbers at one moment, in its unit.

    ``spent`` is settled, ``held`` is reserved for calls under way. ``resets_ms`` is when the window
    ends, in milliseconds since the epoch; None for a total. ``needed`` is how much a request that
    did not fit would have needed, None where that is unknown.
    """

    budget: Budget
    subject: str
    window_id: str
    resets_ms: int | None
    spent: int
    held: int
    needed: int | None = None

    @property
    def left(self) -> int:
        """What a new request may still be granted."""
        return max(0, self.budget.limit - self.spent - self.held)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values; dollars as exact decimal strings."""
        budget = self.budget
        show = plain_usd if budget.unit == "usd" else int
        return {
            "budget": budget.id,
            "per": budget.per,
            "subject": self.subject,
            "unit": budget.unit,
            "window": budget.window,
            "window_id": self.window_id,
            "limit": show(budget.limit),
            "spent": show(self.spent),
            "held": show(self.held),
            "left": show(self.left),
            "resets_at": None if self.resets_ms is None else _instant(self.resets_ms),
        }

    def _needed_text(self, show: Callable[[int], str]) -> str:
        """How much a request would have needed, unless that is plainly one request."""
        if self.needed is None or self.budget.unit == "requests":
            return ""
        return f", asked for {show(self.needed)}"

    def line(self) -> str:
        """The numbers in one line."""
        show = format_usd if self.budget.unit == "usd" else "{:,}".format
        limit, spent, held, left = (
            show(n) for n in (self.budget.limit, self.spent, self.held, self.left)
        )
        unit = "" if self.budget.unit == "usd" else f" {self.budget.unit}"
        reset = "" if self.resets_ms is None else f", resets at {_instant(self.resets_ms)}"
        return (
            f"{self.budget.per} {self.subject}: {limit}{unit} {_PER_WINDOW[self.budget.window]}, "
            f"spent {spent}, held {held}, left {left}{self._needed_text(show)}{reset}"
        )


def window_of(window: Window, at_ms: int) -> tuple[str, int | None]:
    """The id of the window that holds ``at_ms``, and when it ends, in milliseconds; UTC.

    Weeks start on Monday; ``total`` never ends.
    """
    return _window(window, at_ms // MINUTE_MS)


@lru_cache(maxsize=64)
def _window(window: Window, minute: int) -> tuple[str, int | None]:
    at = datetime.fromtimestamp(minute * 60, UTC)
    day = at.replace(hour=0, minute=0)
    match window:
        case "minute":
            return f"{at:%Y-%m-%dT%H:%M}", _ms(at + timedelta(minutes=1))
        case "hour":
            return f"{at:%Y-%m-%dT%H}", _ms(at.replace(minute=0) + timedelta(hours=1))
        case "day":
            return f"{at:%Y-%m-%d}", _ms(day + timedelta(days=1))
        case "week":
            monday = day - timedelta(days=at.weekday())
            return f"{at:%G-W%V}", _ms(monday + timedelta(days=7))
        case "month":
            return f"{at:%Y-%m}", _ms((day.replace(day=1) + timedelta(days=32)).replace(day=1))
        case "total":
            return "total", None


def _ms(at: datetime) -> int:
    return int(at.timestamp()) * 1000


def _instant(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
