"""A month's spending: so far, and what it comes to if it goes on like this."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import fmean, pstdev

from turnout.ledger.entries import HOUR_MS
from turnout.ledger.store import Store

DAY_HOURS = 24
_EIGHTY_PERCENT = 1.2816  # the normal quantile that leaves 10 % on each side


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A month's spending: so far, and expected with the range that 8 of 10 months stay in.

    It continues the mean of the last seven days with its day-to-day spread; from fewer than two
    ``days`` there is none, and the range is None.
    """

    month: str
    spent_pico_usd: int
    expected_pico_usd: int
    low_pico_usd: int | None
    high_pico_usd: int | None
    days: int


def forecast(store: Store, now_ms: int) -> Forecast | None:
    """The month of ``now_ms`` in UTC; None before anything is spent."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = (start + timedelta(days=32)).replace(day=1)
    begin_hour, last_day = int(start.timestamp()) // 3600, now_ms // HOUR_MS // DAY_HOURS
    rows = store.fetch(
        f"SELECT hour / {DAY_HOURS}, CAST(sum(cost) AS BIGINT) FROM hourly "  # noqa: S608 -- a constant
        "WHERE hour >= $1 GROUP BY 1",
        (min(begin_hour, (last_day - 7) * DAY_HOURS),),
    )
    by_day = {int(day): int(cost) for day, cost in rows}
    if not by_day:
        return None
    spent = sum(cost for day, cost in by_day.items() if day * DAY_HOURS >= begin_hour)
    first = max(min(by_day), last_day - 7)
    past = [by_day.get(day, 0) for day in range(first, last_day)]
    elapsed = (now_ms / HOUR_MS - last_day * DAY_HOURS) / DAY_HOURS
    daily = fmean(past) if past else by_day.get(last_day, 0) / max(elapsed, 1 / DAY_HOURS)
    left = (end.timestamp() - now_ms / 1000) / 86_400
    spread = _EIGHTY_PERCENT * pstdev(past) * left**0.5 if len(past) > 1 else None
    expected = spent + daily * left
    return Forecast(
        month=f"{start:%Y-%m}",
        spent_pico_usd=spent,
        expected_pico_usd=round(expected),
        low_pico_usd=None if spread is None else round(max(spent, expected - spread)),
        high_pico_usd=None if spread is None else round(expected + spread),
        days=len(past),
    )
