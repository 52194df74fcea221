"""Where budgets stand, for people: the same numbers that admission goes by."""

from collections.abc import Iterable, Iterator

from turnout.core import Budget, Standing, window_of
from turnout.ledger.store import Store, rows_if_any


def standings(store: Store, budgets: Iterable[Budget], at_ms: int) -> list[Standing]:
    """Every budget's standing in the window of ``at_ms``, one for each subject that has used it."""
    return [line for budget in budgets for line in _of(store, budget, at_ms)]


def _of(store: Store, budget: Budget, at_ms: int) -> Iterator[Standing]:
    window, resets_ms = window_of(budget.window, at_ms)
    start, end = f"{budget.per}:", f":{budget.unit}"
    sql = "SELECT account, spent, held FROM balances WHERE win = $1 ORDER BY account"
    used = {
        account[len(start) : -len(end)]: (spent, held)
        for account, spent, held in rows_if_any(store, sql, (window,))
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
