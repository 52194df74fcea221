"""Policies by name, as ``turnout eval --policy`` takes them."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from turnout.core import ConfigError
from turnout.policies import (
    Cascade,
    Cheapest,
    CheapestAboveQuality,
    Fixed,
    Policy,
    Random,
    Strongest,
    Utility,
    Weighted,
)

if TYPE_CHECKING:
    from turnout.classifiers.success import Bundle
    from turnout.evaluation.outcome_table import OutcomeTable

POLICIES = "cheapest, strongest, random, fixed:MODEL, cheapest_above_quality:SHARE[,STEADY], \
utility:PER_USD[,PER_SECOND], weighted:MODEL=SHARE,..., cascade[:STEPS]"


def policy_of(
    spec: str, order: tuple[str, ...], table: "OutcomeTable", bundle: "Bundle | None" = None
) -> Policy:
    """The policy for ``NAME`` or ``NAME:VALUE``, with what was calibrated for it in the bundle.

    Raises ConfigError that lists all policies.
    """
    name, _, value = spec.partition(":")
    factories: dict[str, Callable[[], Policy]] = {
        "cheapest": Cheapest,
        "random": Random,
        "strongest": lambda: Strongest(order=order),
        "cheapest_above_quality": lambda: _above_quality(value, bundle),
        "utility": lambda: _utility(value),
        "weighted": lambda: _weighted(value, table),
        "cascade": lambda: Cascade(steps=_steps(value or "3")),
        "fixed": lambda: Fixed(deployment=table.columns([value]).models[0]),
    }
    has_stray_value = bool(value) and name in {"cheapest", "random", "strongest"}
    if name not in factories or has_stray_value or (name == "fixed" and not value):
        raise ConfigError(f"--policy {spec!r}: use one of {POLICIES}")
    try:
        return factories[name]()
    except ValueError:
        raise ConfigError(
            f"--policy {spec!r}: {value!r} is not valid: shares and margins are numbers "
            "from 0 to 1, steps whole ones from 1 to 10, all others at least 0"
        ) from None


def _number(text: str, *, most: float = math.inf) -> float:
    """The number, if it is from 0 to ``most``; 0 for an empty text. Raises ValueError."""
    value = float(text or 0)
    if not 0 <= value <= most or math.isinf(value):
        raise ValueError(text)
    return value


def _steps(text: str) -> int:
    """The whole number from 1 to 10. Raises ValueError."""
    steps = int(text)
    if not 1 <= steps <= 10:
        raise ValueError(text)
    return steps


def _above_quality(value: str, bundle: "Bundle | None") -> Policy:
    share, _, margin = value.partition(",")
    steady = _number(margin, most=1)
    return CheapestAboveQuality(
        quality=_number(share or "0.95", most=1),
        calibrated=bundle.thresholds_by_quality(steady) if bundle else (),
        steady=steady,
        usual=bundle.mean_qualities if bundle and steady else (),
    )


def _utility(value: str) -> Policy:
    per_usd, _, per_second = value.partition(",")
    return Utility(per_usd=_number(per_usd), per_second=_number(per_second))


def _weighted(value: str, table: "OutcomeTable") -> Policy:
    weights, unfinished = {}, ""
    for part in value.split(","):
        model, _, share = f"{unfinished}{part}".rpartition("=")
        if model in table.models:
            weights[model], unfinished = _number(share), ""
        else:  # a model's name may hold commas
            unfinished += f"{part},"
    if unfinished or not sum(weights.values()) > 0:
        raise ConfigError(
            f"--policy 'weighted:{value}': use MODEL=SHARE with the table's models: "
            f"{', '.join(table.models)}"
        )
    return Weighted(weights=weights)
