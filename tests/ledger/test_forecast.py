"""The month's forecast at its edges: months of every length, their first and last hours, in UTC."""

import time
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from turnout.ledger.forecast import Forecast, forecast
from turnout.ledger.schema import HOURLY
from turnout.ledger.sqlite import SqliteStore

HOUR = timedelta(hours=1)
MONTHS = [(2026, 2), (2028, 2), (2026, 4), (2026, 12), (2027, 1), (2026, 3)]


def _forecast_at(store: SqliteStore, now: datetime) -> Forecast | None:
    return forecast(store, int(now.timestamp() * 1000))


def _hourly_ledger(path: Path, first: datetime, last: datetime) -> SqliteStore:
    """A ledger with 1000 pico-dollars spent in every hour from first to before last."""
    store = SqliteStore(path)
    store.open()
    hours = range(int(first.timestamp()) // 3600, int(last.timestamp()) // 3600)
    sums = [1000 if name == "cost" else 0 for name in HOURLY]
    marks = ", ".join(f"${place + 1}" for place in range(3 + len(HOURLY)))
    sql = f"INSERT INTO hourly VALUES ({marks})"  # noqa: S608 -- a constant
    store.commit((), lambda _: [(sql, [(hour, "a", "m", *sums) for hour in hours])])
    return store


@pytest.mark.parametrize(("year", "month"), MONTHS)
@pytest.mark.parametrize("hours", [0, 1, 24, 100, -24, -1])
def test_a_steady_month_is_foreseen_to_the_hour(
    tmp_path: Path, year: int, month: int, hours: int
) -> None:
    """Whenever it is asked: from the first moment of the month to its last hour."""
    begin = datetime(year, month, 1, tzinfo=UTC)
    length = 24 * monthrange(year, month)[1]
    now = begin + HOUR * (hours if hours >= 0 else length + hours)
    found = _forecast_at(_hourly_ledger(tmp_path / "ledger.db", begin - 30 * 24 * HOUR, now), now)
    assert found is not None
    assert (found.month, found.days) == (f"{year}-{month:02}", 7)
    assert found.spent_pico_usd == 1000 * (now - begin) // HOUR
    assert found.expected_pico_usd == pytest.approx(1000 * length)
    assert found.low_pico_usd == found.high_pico_usd == found.expected_pico_usd


@pytest.mark.parametrize(("year", "month"), MONTHS)
def test_the_last_moment_counts_for_its_month_and_the_next_for_the_next(
    tmp_path: Path, year: int, month: int
) -> None:
    """A millisecond before midnight nothing is left to come; at midnight nothing is spent yet."""
    begin = datetime(year, month, 1, tzinfo=UTC)
    end = begin + timedelta(days=monthrange(year, month)[1])
    store = _hourly_ledger(tmp_path / "ledger.db", begin, end)
    last, first = _forecast_at(store, end - timedelta(milliseconds=1)), _forecast_at(store, end)
    assert last is not None
    assert first is not None
    assert last.month == f"{begin:%Y-%m}"
    assert last.expected_pico_usd == last.spent_pico_usd == 1000 * (end - begin) // HOUR
    assert (first.month, first.spent_pico_usd) == (f"{end:%Y-%m}", 0)
    days = monthrange(end.year, end.month)[1]
    assert first.expected_pico_usd == pytest.approx(24_000 * days)


def test_the_range_is_that_of_eight_months_in_ten(tmp_path: Path) -> None:
    """1.28 times a day's spread, 58,788, times the root of the four days that are left."""
    begin, now = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 25, tzinfo=UTC)
    store = _hourly_ledger(tmp_path / "ledger.db", begin, now)
    hour = int(datetime(2026, 2, 20, tzinfo=UTC).timestamp()) // 3600
    sql = "UPDATE hourly SET cost = cost + 168000 WHERE hour = $1"
    store.commit((), lambda _: [(sql, [(hour,)])])
    assert _forecast_at(store, now) == Forecast(
        month="2026-02",
        spent_pico_usd=744_000,
        expected_pico_usd=936_000,
        low_pico_usd=785_315,
        high_pico_usd=1_086_685,
        days=7,
    )


@pytest.mark.parametrize(("days", "has_range"), [(1, False), (2, True)])
def test_one_day_has_no_spread(tmp_path: Path, days: int, *, has_range: bool) -> None:
    """From two on there is a range."""
    now = datetime(2026, 2, 5, tzinfo=UTC)
    found = _forecast_at(_hourly_ledger(tmp_path / "l.db", now - 24 * days * HOUR, now), now)
    assert found is not None
    assert (found.days, found.low_pico_usd is not None) == (days, has_range)


def test_the_machines_time_zone_moves_no_month(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it is still February or March already, it is February in UTC all the same."""
    begin, now = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 28, 23, tzinfo=UTC)
    store = _hourly_ledger(tmp_path / "ledger.db", begin, now)
    found = []
    for zone in ("UTC", "Pacific/Kiritimati", "Etc/GMT+12"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        found.append(_forecast_at(store, now))
    monkeypatch.undo()
    time.tzset()
    assert found[0] is not None
    assert found[0].month == "2026-02"
    assert found[1:] == found[:1] * 2


def test_a_first_hour_of_all_goes_by_itself(tmp_path: Path) -> None:
    """With nothing before it, the hour that began counts as one, however short it is yet."""
    begin = datetime(2026, 2, 1, tzinfo=UTC)
    store = _hourly_ledger(tmp_path / "ledger.db", begin, begin + HOUR)
    for now in (begin, begin + HOUR / 60, begin + HOUR):
        found = _forecast_at(store, now)
        assert found is not None
        assert (found.days, found.low_pico_usd, found.spent_pico_usd) == (0, None, 1000)
        assert found.expected_pico_usd == pytest.approx(1000 * 28 * 24, rel=0.002)


def test_a_month_that_begins_after_a_pause(tmp_path: Path) -> None:
    """Nothing for a week is nothing to go on; a ledger that holds nothing says nothing."""
    begin = datetime(2026, 3, 1, tzinfo=UTC)
    store = _hourly_ledger(tmp_path / "ledger.db", begin - 240 * HOUR, begin - 192 * HOUR)
    assert _forecast_at(store, begin) is None
    empty = _hourly_ledger(tmp_path / "empty.db", begin, begin)
    assert _forecast_at(empty, begin) is None
