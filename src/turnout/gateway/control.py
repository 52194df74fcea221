"""The list of models, and the reading of feedback. This module does not know HTTP."""

from collections.abc import Mapping
from typing import Any

from turnout.core import AUTO, InvalidRequest, json_object
from turnout.core.feedback import checked_feedback
from turnout.decision import reachable_names
from turnout.runtime import Engine

_FEEDBACK = ("decision_id", "metric", "value", "source")
# The date that both APIs give if none is known.
_UNKNOWN_TIME = "1970-01-01T00:00:00Z"
MOST_LISTED = 1000


def models_list(engine: Engine, allowed: frozenset[str] | None) -> dict[str, Any]:
    """``GET /v1/models``: auto, aliases, intents, policies and models, if they are allowed.

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
    return _list(listed)


def page_of(models: dict[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
    """The part of ``GET /v1/models`` that ``limit``, ``after_id`` and ``before_id`` ask for.

    Without a limit it is all that is left. Raises InvalidRequest.
    """
    ids = [model["id"] for model in models["data"]]
    after, before = query.get("after_id"), query.get("before_id")
    if after is not None and before is not None:
        raise InvalidRequest("send after_id or before_id, not both", field="before_id")
    begin, end = 0, len(ids)
    if after is not None:
        begin = _place(ids, "after_id", after) + 1
    if before is not None:
        end = _place(ids, "before_id", before)
    most = _limit(query["limit"]) if "limit" in query else len(ids)
    has_more = end - begin > most
    if before is None:
        end = min(end, begin + most)
    else:
        begin = max(begin, end - most)
    return _list(models["data"][begin:end], has_more=has_more)


def _place(ids: list[str], field: str, ident: str) -> int:
    if ident not in ids:
        raise InvalidRequest(f"{field} is {ident[:70]!r}, which is not in the list", field=field)
    return ids.index(ident)


def _limit(text: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) < 5
    if not (is_number and 1 <= int(text) <= MOST_LISTED):
        raise InvalidRequest(
            f"limit is {text[:40]!r}; use a whole number from 1 to {MOST_LISTED}", field="limit"
        )
    return int(text)


def _list(listed: list[dict[str, Any]], *, has_more: bool = False) -> dict[str, Any]:
    """A list in OpenAI's format and in Anthropic's at once."""
    first, last = (listed[0]["id"], listed[-1]["id"]) if listed else (None, None)
    ends = {"first_id": first, "last_id": last}
    return {"object": "list", "data": listed, "has_more": has_more, **ends}


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
