"""What was spent, and what the same traffic would have cost without routing.

A request is compared if its actual cost and its twin's cost are both known. The actual side counts
every call: answers, labels, retries and failures. See ``twins`` for the other side. Requests that
were answered by a stand-in, blocked or failed have no twins.

Invariant: only sums stored with the rows are read, so that a report is fast at any size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from turnout.core import format_usd
from turnout.core.plural import many
from turnout.ledger.baselines import Baseline, Group, group_dict
from turnout.ledger.entries import HOUR_MS
from turnout.ledger.forecast import DAY_HOURS, Forecast, forecast
from turnout.ledger.schema import HOURLY, TWINS
from turnout.ledger.store import Store

By = Literal["intent", "model", "day"]

_KEYS: Mapping[str, str] = {
    "intent": "intent",
    "model": "model",
    "day": f"hour / {DAY_HOURS}",
    "": "''",
}


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
            "total": group_dict(self.total),
            "groups": [group_dict(g) for g in self.groups],
            "forecast": self.forecast and asdict(self.forecast),
        }

    def sentence(self) -> str:
        """The result in one line."""
        total, strongest = self.total, self.total.strongest
        spent = f"{many(total.sums['requests'], 'request')} cost {format_usd(total.sums['cost'])}"
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
        total=_combined(groups),
        groups=tuple(groups) if by else (),
        forecast=None if now_ms is None else forecast(store, now_ms),
    )


def _groups(store: Store, first_hour: int, by: str) -> list[Group]:
    key = _KEYS[by]
    sums = _summed(store, "hourly", key, HOURLY, first_hour)
    twins: dict[str, dict[str, Baseline]] = {}
    for (group, name), values in _summed(store, "twins", f"{key}, twin", TWINS, first_hour).items():
        twins.setdefault(group, {})[name] = _baseline(name, dict(zip(TWINS, values, strict=True)))
    opinions_by_group: dict[str, dict[str, tuple[int, int]]] = {}
    opinions = _summed(store, "opinions", f"{key}, metric", ("number", "value_micro"), first_hour)
    for (group, metric), (number, value) in opinions.items():
        opinions_by_group.setdefault(group, {})[metric] = value, number
    return [
        Group(
            key=_name(group, by),
            sums=dict(zip(HOURLY, values, strict=True)),
            baselines=twins.get(group, {}),
            opinions=opinions_by_group.get(group, {}),
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


def _combined(groups: Sequence[Group]) -> Group:
    """All groups as one."""
    names = sorted({name for group in groups for name in group.baselines})
    metrics = sorted({metric for group in groups for metric in group.opinions})
    return Group(
        key="",
        sums={name: sum(group.sums[name] for group in groups) for name in HOURLY},
        baselines={
            name: _baseline_sum([g.baselines[name] for g in groups if name in g.baselines])
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


def _baseline_sum(parts: Sequence[Baseline]) -> Baseline:
    sums = {
        name: sum(getattr(part, name) for part in parts)
        for name in Baseline.__slots__
        if name != "name"
    }
    return Baseline(name=parts[0].name, **sums)
