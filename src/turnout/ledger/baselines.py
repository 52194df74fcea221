"""What one model for all would have cost, and what routing cost, for a group of requests."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from turnout.ledger.twins import CHEAPEST, MILLION, STRONGEST


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """One model for all of the traffic, compared with routing on the same requests.

    ``requests`` is how many were compared, ``unknown`` how many lack a price, and ``unfit`` how
    many of the compared ones the model could not have taken. ``quality_ppm`` is the sum of the
    expected quality of ``rated`` requests, in millionths.
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
        """What routing saved, as a share of the baseline; None if the baseline cost nothing."""
        return self.saved_pico_usd / self.cost_pico_usd if self.cost_pico_usd else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The requests of one intent, model or day (``key``), or all of them (an empty key).

    ``sums`` are those of the hourly table; ``opinions`` has, for each metric, the sum of its values
    in millionths and their number.
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


def group_dict(group: Group) -> dict[str, Any]:
    """The group as JSON-ready values; amounts are pico-dollars."""
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
    derived = ("quality", "saved_pico_usd", "saved_share")
    return {**asdict(baseline), **{name: getattr(baseline, name) for name in derived}}
