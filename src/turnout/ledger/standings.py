"""Where budgets stand, for people: the same numbers that admission goes by; and which are past."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache

from turnout.core import Budget, Standing, window_of
from turnout.core.budget import Window
from turnout.ledger.entries import HOUR_MS, Change
from turnout.ledger.store import Store, fetch_or_empty

_ONE_ACCOUNT = "SELECT account, spent, held FROM balances WHERE account = $1 AND win = $2"
_ALL_ACCOUNTS = "SELECT account, spent, held FROM balances WHERE win = $1 ORDER BY account"

# A clock that was ahead and is set back finds its balances for so long after their windows' ends.
_KEPT_HOURS: Mapping[Window, int] = {
    "minute": 24,
    "hour": 24,
    "day": 32 * 24,
    "week": 32 * 24,
    "month": 32 * 24,
}

Row = tuple[str, int, int]


def standings(store: Store, budgets: Iterable[Budget], at_ms: int) -> list[Standing]:
    """Every budget's standing in the window of ``at_ms``, one for each subject that has used it."""
    # All of a window takes longer the more windows there were: it is read once.
    accounts_in = cache(lambda window: list(fetch_or_empty(store, _ALL_ACCOUNTS, (window,))))
    return [line for budget in budgets for line in _standings_of(store, budget, at_ms, accounts_in)]


def _standings_of(
    store: Store, budget: Budget, at_ms: int, accounts_in: Callable[[str], Iterable[Row]]
) -> Iterator[Standing]:
    window, resets_ms = window_of(budget.window, at_ms)
    start, end = f"{budget.per}:", f":{budget.unit}"
    only = "all" if budget.per == "all" else budget.name
    if only is None or budget.per == "session":
        found = accounts_in(window)
    else:
        found = fetch_or_empty(store, _ONE_ACCOUNT, (f"{start}{only}{end}", window))
    used = {
        account[len(start) : -len(end)]: (spent, held)
        for account, spent, held in found
        if account.startswith(start) and account.endswith(end)
    }
    for subject in _subjects(budget, used):
        spent, held = used.get(subject, (0, 0))
        yield Standing(
            budget=budget,
            subject=subject,
            window_id=window,
            resets_ms=resets_ms,
            spent=spent,
            held=held,
        )


def _subjects(budget: Budget, used: Iterable[str]) -> Iterable[str]:
    """Whom it counts for: the one it names, else all that have used it."""
    if budget.per == "session" and budget.name is not None:
        own = [subject for subject in used if f"/{subject}".endswith(f"/{budget.name}")]
        return own or [budget.name]
    if budget.name is not None:
        return [budget.name]
    return ["all"] if budget.per == "all" else used


def past_balances_removal(at_ms: int) -> Change:
    """Removes the balances of windows that ended long ago; what is held there stays."""
    oldest = [window_of(w, at_ms - hours * HOUR_MS)[0] for w, hours in _KEPT_HOURS.items()]
    # The ids of each kind of window have a length of their own.
    older = [f"length(win) = {len(id_)} AND win < ${n}" for n, id_ in enumerate(oldest, 1)]
    return Change(f"DELETE FROM balances WHERE held = 0 AND ({' OR '.join(older)})", oldest)  # noqa: S608 -- constants
