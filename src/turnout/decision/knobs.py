"""Targets and limits that the configuration sets for all requests, by intent and by key.

Invariant: the strictest limit counts, whoever sets it; a request's own quality target wins.
This module does not know where keys come from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import structs

from turnout.core import Constraints, Request

_NONE = Constraints()


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """Constraints on ``all`` requests, on those of an intent, and on those of a key or a team."""

    all: Constraints = _NONE
    intents: Mapping[str, Constraints] = field(default_factory=dict)
    keys: Mapping[str, Constraints] = field(default_factory=dict)

    @property
    def limits_latency(self) -> bool:
        """Whether any of these limits the latency."""
        every = (self.all, *self.intents.values(), *self.keys.values())
        return any(one.max_latency_ms is not None for one in every)

    def constrain(self, request: Request, intent: str | None) -> Request:
        """The request with all constraints that apply to it."""
        own = request.constraints
        named = [self.keys[name] for name in _caller_names(request) if name in self.keys]
        if intent is not None and intent in self.intents:
            named.append(self.intents[intent])
        if not named and self.all is _NONE:
            return request
        set_for = [self.all, *named]
        qualities = [one.quality for one in set_for if one.quality is not None]
        costs = [one.max_cost_pico_usd for one in (own, *set_for)]
        waits = [one.max_latency_ms for one in (own, *set_for)]
        limits = structs.replace(
            own,
            quality=max(qualities, default=None) if own.quality is None else own.quality,
            max_cost_pico_usd=min((c for c in costs if c is not None), default=None),
            max_latency_ms=min((w for w in waits if w is not None), default=None),
        )
        return structs.replace(request, constraints=limits)


def _caller_names(request: Request) -> list[str]:
    """What ``keys`` may call the caller: its tenant, key, team and ancestors, by id or name."""
    found: list[str | None] = [request.tenant, (request.tenant or "").partition(":")[2]]
    caller = request.caller
    if caller is not None:
        found += [caller.key, *caller.names, caller.team, *caller.keys]
    return [name for name in dict.fromkeys(found) if name]
