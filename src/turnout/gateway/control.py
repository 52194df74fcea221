"""The list of models, and the reading of feedback. This module does not know HTTP."""

from typing import Any

from turnout.core import AUTO, InvalidRequest, json_object
from turnout.core.feedback import checked_feedback
from turnout.decision import reachable_names
from turnout.runtime import Engine

_FEEDBACK = ("decision_id", "metric", "value", "source")
# The date that both APIs give if none is known.
_UNKNOWN_TIME = "1970-01-01T00:00:00Z"
MOST_LISTED = 1000


def listed_models(engine: Engine, allowed: frozenset[str] | None) -> list[dict[str, Any]]:
    """What the list of models has: auto, aliases, intents, policies and models, if allowed.

    None allows all; auto, intents and policies are listed if they can lead to an allowed model.
    """
    parts = engine.parts
    rules = parts.means.rules
    deployments = parts.catalog.deployments.values()
    usable = [d for d in deployments if allowed is None or d.names & allowed]
    chosen = list(reachable_names([AUTO, *sorted(rules.intents), *rules.policies], allowed, rules))
    known = {name.casefold() for name in {*chosen}.union(*(d.names for d in usable))}
    aliases = [a for a, meant in parts.config.aliases.items() if meant.casefold() in known]
    names = sorted([*aliases, *chosen], key=lambda name: name != AUTO)
    listed = [_model(name, "turnout") for name in names]
    for deployment in usable:
        card = deployment.card
        listed.append(
            _model(deployment.id, deployment.provider.name)
            | {
                "model": deployment.model,
                "kind": card.kind,
                "context_window": card.context_window,
                "modalities": sorted(card.modalities),
                "tools": card.tools,
                "json": card.json,
            }
        )
    return listed


def read_feedback(payload: object) -> tuple[str, dict[str, Any]]:
    """A feedback body's decision id and checked fields. Raises InvalidRequest."""
    fields = json_object(payload)
    if unknown := next((name for name in fields if name not in _FEEDBACK), None):
        use = ", ".join(_FEEDBACK)
        raise InvalidRequest(f"{str(unknown)[:70]!r} is not a field of feedback; use {use}")
    ident = fields.get("decision_id")
    if not isinstance(ident, str) or not ident:
        raise InvalidRequest("decision_id is missing; take it from x-turnout-decision")
    values = fields.get("metric"), fields.get("value"), fields.get("source", "user")
    metric, value, source = checked_feedback(*values)
    return ident, {"metric": metric, "value": value, "source": source}


def _model(name: str, owner: str) -> dict[str, Any]:
    openai = {"id": name, "object": "model", "created": 0, "owned_by": owner}
    return {**openai, "type": "model", "display_name": name, "created_at": _UNKNOWN_TIME}
