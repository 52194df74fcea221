"""Where budgets stand, for people: the same numbers that admission goes by."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache

from turnout.core import Budget, Standing, window_of
from turnout.ledger.store import Store, rows_if_any

_NAMED = "SELECT account, spent, held FROM balances WHERE account = $1 AND win = $2"
_EVERY = "SELECT account, spent, held FROM balances WHERE win = $1 ORDER BY account"

Row = tuple[str, int, int]


def standings(store: Store, budgets: Iterable[Budget], at_ms: int) -> list[Standing]:
    """Every budget's standing in the window of ``at_ms``, one for each subject that has used it."""
    # All of a window takes longer the more windows there were: it is read once.
    every = cache(lambda window: list(rows_if_any(store, _EVERY, (window,))))
    return [line for budget in budgets for line in _of(store, budget, at_ms, every)]


def _of(
    store: Store, budget: Budget, at_ms: int, every: Callable[[str], Iterable[Row]]
) -> Iterator[Standing]:
    window, resets_ms = window_of(budget.window, at_ms)
    start, end = f"{budget.per}:", f":{budget.unit}"
    who = "all" if budget.per == "all" else budget.name
    if who is None or budget.per == "session":
        found = every(window)
    else:
        found = rows_if_any(store, _NAMED, (f"{start}{who}{end}", window))
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
        own = [who for who in used if f"/{who}".endswith(f"/{budget.name}")]
        return own or [budget.name]
    if budget.name is not None:
        return [budget.name]
    return ["all"] if budget.per == "all" else used
