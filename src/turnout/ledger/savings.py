"""What was spent, and what the same traffic would have cost without routing.

Compared are the requests whose actual cost and whose twin's cost are both known. The actual side
counts every call: the answers, the classifier's, retries and failures. See ``twins`` for how the
other side is counted. Requests answered by a stand-in, blocked or failed have no twins.

Invariant: only sums kept with the rows are read, so that a report is quick at any size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from statistics import fmean, pstdev
from typing import Any, Literal

from turnout.core import format_usd
from turnout.ledger.entries import HOUR_MS
from turnout.ledger.schema import HOURLY, TWINS
from turnout.ledger.store import Store
from turnout.ledger.twins import CHEAPEST, MILLION, STRONGEST

By = Literal["intent", "model", "day"]

_DAY_HOURS = 24
_EIGHTY_PERCENT = 1.2816  # the normal quantile that leaves 10 % on each side
_KEYS: Mapping[str, str] = {
    "intent": "intent",
    "model": "model",
    "day": f"hour / {_DAY_HOURS}",
    "": "''",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """One model for all of the traffic, against what routing did cost on the same requests.

    ``requests`` could be compared; ``unknown`` could not, for want of a price; ``unfit`` are those
    of them that the model could not have taken. ``quality_ppm`` sums the expected quality of
    ``rated`` requests, in millionths.
    """

    name: str
    requests: int
    cost_pico_usd: int
    actual_pico_usd: int
    unknown: int
    unfit: int
    rated: int
    quality_ppm: int

    @property
    def quality(self) -> float | None:
        """Mean expected quality; None where nothing is known."""
        return self.quality_ppm / self.rated / MILLION if self.rated else None

    @property
    def saved_pico_usd(self) -> int:
        """What routing saved; negative when it cost more."""
        return self.cost_pico_usd - self.actual_pico_usd

    @property
    def saved_share(self) -> float | None:
        """What routing saved, as a share of the baseline; None where it cost nothing."""
        return self.saved_pico_usd / self.cost_pico_usd if self.cost_pico_usd else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The requests of one intent, model or day (``key``), or all of them (an empty key).

    ``sums`` are those of the hourly table; ``opinions`` sums each
    metric's values, in millionths, and counts them.
    """

    key: str
    sums: Mapping[str, int]
    baselines: Mapping[str, Baseline]
    opinions: Mapping[str, tuple[int, int]]

    @property
    def feedback(self) -> Mapping[str, tuple[float, int]]:
        """Each metric's mean and number."""
        return {
            metric: (value / number / MILLION, number)
            for metric, (value, number) in self.opinions.items()
        }

    @property
    def quality(self) -> float | None:
        """Mean expected quality of the models chosen; None where nothing is known."""
        rated = self.sums["rated"]
        return self.sums["quality_ppm"] / rated / MILLION if rated else None

    @property
    def strongest(self) -> Baseline | None:
        """The strongest model for all."""
        return self.baselines.get(STRONGEST)

    @property
    def cheapest(self) -> Baseline | None:
        """The cheapest model for all."""
        return self.baselines.get(CHEAPEST)

    @property
    def best_single(self) -> Baseline | None:
        """The cheapest single model expected to answer at least as well as routing did.

        Only models that could have taken every request count. None where qualities are unknown or
        no model is as good.
        """
        wanted = self.quality
        if wanted is None:
            return None
        good = [
            b
            for b in self.baselines.values()
            if not b.name.startswith("@")
            and not b.unfit
            and not b.unknown
            and b.quality is not None
            and b.quality >= wanted
        ]
        return min(good, key=lambda b: b.cost_pico_usd, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """A month's spending: so far, and expected with the range that 8 of 10 months stay in.

    It continues the mean of the last seven days with its day-to-day spread.
    """

    month: str
    spent_pico_usd: int
    expected_pico_usd: int
    low_pico_usd: int
    high_pico_usd: int
    days: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """The report: everything together, its groups, and the forecast."""

    since_ms: int | None
    total: Group
    groups: Sequence[Group] = field(default_factory=tuple)
    forecast: Forecast | None = None

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON-ready values; amounts are pico-dollars."""
        return {
            "since_ms": self.since_ms,
            "total": _group_dict(self.total),
            "groups": [_group_dict(g) for g in self.groups],
            "forecast": None
            if self.forecast is None
            else {name: getattr(self.forecast, name) for name in self.forecast.__slots__},
        }

    def sentence(self) -> str:
        """The result in one line."""
        total, strongest = self.total, self.total.strongest
        spent = f"{total.sums['requests']:,} requests cost {format_usd(total.sums['cost'])}"
        if strongest is None or strongest.saved_share is None:
            return f"{spent}; nothing to compare with yet"
        return (
            f"{spent}; {100 * strongest.saved_share:.1f}% less than the strongest model for all "
            f"({format_usd(strongest.cost_pico_usd)})"
        )


def savings(
    store: Store, *, since_ms: int | None = None, by: By | None = None, now_ms: int | None = None
) -> Savings:
    """The report since the beginning of the hour of ``since_ms``, with a forecast at ``now_ms``."""
    first = 0 if since_ms is None else since_ms // HOUR_MS
    groups = _groups(store, first, by or "")
    return Savings(
        since_ms=None if since_ms is None else first * HOUR_MS,
        total=_together(groups),
        groups=tuple(groups) if by else (),
        forecast=None if now_ms is None else forecast(store, now_ms),
    )


def forecast(store: Store, now_ms: int) -> Forecast | None:
    """The month of ``now_ms`` in UTC; None before anything is spent."""
    now = datetime.fromtimestamp(now_ms / 1000, UTC)
    start = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    end = (start + timedelta(days=32)).replace(day=1)
    begin_hour, last_day = int(start.timestamp()) // 3600, now_ms // HOUR_MS // _DAY_HOURS
    rows = store.fetch(
        f"SELECT hour / {_DAY_HOURS}, CAST(sum(cost) AS BIGINT) FROM hourly "  # noqa: S608 -- a constant
        "WHERE hour >= $1 GROUP BY 1",
        (min(begin_hour, (last_day - 7) * _DAY_HOURS),),
    )
    by_day = {int(day): int(cost) for day, cost in rows}
    if not by_day:
        return None
    spent = sum(cost for day, cost in by_day.items() if day * _DAY_HOURS >= begin_hour)
    first = max(min(by_day), last_day - 7)
    past = [by_day.get(day, 0) for day in range(first, last_day)]
    elapsed = (now_ms / HOUR_MS - last_day * _DAY_HOURS) / _DAY_HOURS
    daily = fmean(past) if past else by_day.get(last_day, 0) / max(elapsed, 1 / _DAY_HOURS)
    left = (end.timestamp() - now_ms / 1000) / 86_400
    spread = _EIGHTY_PERCENT * pstdev(past) * left**0.5 if past else 0.0
    expected = spent + daily * left
    return Forecast(
        month=f"{start:%Y-%m}",
        spent_pico_usd=spent,
        expected_pico_usd=round(expected),
        low_pico_usd=round(max(spent, expected - spread)),
        high_pico_usd=round(expected + spread),
        days=len(past),
    )


def _groups(store: Store, first_hour: int, by: str) -> list[Group]:
    key = _KEYS[by]
    sums = _summed(store, "hourly", key, HOURLY, first_hour)
    twins: dict[str, dict[str, Baseline]] = {}
    for (group, name), values in _summed(store, "twins", f"{key}, twin", TWINS, first_hour).items():
        twins.setdefault(group, {})[name] = _baseline(name, dict(zip(TWINS, values, strict=True)))
    said: dict[str, dict[str, tuple[int, int]]] = {}
    opinions = _summed(store, "opinions", f"{key}, metric", ("number", "value_micro"), first_hour)
    for (group, metric), (number, value) in opinions.items():
        said.setdefault(group, {})[metric] = value, number
    return [
        Group(
            key=_name(group, by),
            sums=dict(zip(HOURLY, values, strict=True)),
            baselines=twins.get(group, {}),
            opinions=said.get(group, {}),
        )
        for (group,), values in sorted(sums.items())
    ]


def _summed(
    store: Store, table: str, keys: str, names: Sequence[str], first_hour: int
) -> dict[tuple[Any, ...], Sequence[int]]:
    """Sums of ``names`` by ``keys``, which are SQL."""
    sums = ", ".join(f"CAST(sum({name}) AS BIGINT)" for name in names)
    count = keys.count(",") + 1
    places = ", ".join(str(place) for place in range(1, count + 1))
    rows = store.fetch(
        f"SELECT {keys}, {sums} FROM {table} WHERE hour >= $1 GROUP BY {places}",  # noqa: S608 -- constants
        (first_hour,),
    )
    return {tuple(row[:count]): row[count:] for row in rows}


def _baseline(name: str, sums: Mapping[str, int]) -> Baseline:
    return Baseline(
        name=name,
        requests=sums["requests"] - sums["unknown"],
        cost_pico_usd=sums["cost"],
        actual_pico_usd=sums["actual"],
        unknown=sums["unknown"],
        unfit=sums["unfit"],
        rated=sums["rated"],
        quality_ppm=sums["quality_ppm"],
    )


def _name(group: Any, by: str) -> str:
    if by != "day":
        return str(group)
    return f"{datetime.fromtimestamp(int(group) * 86_400, UTC):%Y-%m-%d}"


def _together(groups: Sequence[Group]) -> Group:
    """All groups as one."""
    names = sorted({name for group in groups for name in group.baselines})
    metrics = sorted({metric for group in groups for metric in group.opinions})
    return Group(
        key="",
        sums={name: sum(group.sums[name] for group in groups) for name in HOURLY},
        baselines={
            name: _sum_of([g.baselines[name] for g in groups if name in g.baselines])
            for name in names
        },
        opinions={
            metric: (
                sum(g.opinions[metric][0] for g in groups if metric in g.opinions),
                sum(g.opinions[metric][1] for g in groups if metric in g.opinions),
            )
            for metric in metrics
        },
    )


def _sum_of(parts: Sequence[Baseline]) -> Baseline:
    sums = {
        name: sum(getattr(part, name) for part in parts)
        for name in Baseline.__slots__
        if name != "name"
    }
    return Baseline(name=parts[0].name, **sums)


def _group_dict(group: Group) -> dict[str, Any]:
    best = group.best_single
    return {
        "key": group.key,
        **group.sums,
        "expected_quality": group.quality,
        "always_strongest": _baseline_dict(group.strongest),
        "always_cheapest": _baseline_dict(group.cheapest),
        "best_single": _baseline_dict(best),
        "models": [
            _baseline_dict(b) for n, b in sorted(group.baselines.items()) if not n.startswith("@")
        ],
        "feedback": {
            metric: {"mean": mean, "number": number}
            for metric, (mean, number) in sorted(group.feedback.items())
        },
    }


def _baseline_dict(baseline: Baseline | None) -> dict[str, Any] | None:
    if baseline is None:
        return None
    found = {name: getattr(baseline, name) for name in baseline.__slots__}
    found["quality"] = baseline.quality
    found["saved_pico_usd"] = baseline.saved_pico_usd
    found["saved_share"] = baseline.saved_share
    return found
