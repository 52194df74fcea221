"""The headers of requests and answers that are Turnout's own, for the OpenAPI document.

Invariant: tests hold real answers to these. This module does not know bodies.
"""

from typing import Any

from turnout.core import CALL_KINDS
from turnout.gateway.control import MOST_LISTED
from turnout.gateway.stored_responses import MOST_ITEMS, ORDERS, USUAL_ITEMS

Schema = dict[str, Any]

# What asks a model, or what would.
_REQUEST_PATHS = frozenset(
    {
        "/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/embeddings",
        "/v1/messages/count_tokens", "/v1/responses/input_tokens", "/v1/route",
    }
)  # fmt: skip
_ANSWER_PATHS = _REQUEST_PATHS - {
    "/v1/messages/count_tokens", "/v1/responses/input_tokens", "/v1/route",
}  # fmt: skip
_TEXT: Schema = {"type": "string"}
_USD: Schema = {"type": "string", "pattern": r"^(unknown|[0-9.]+)$"}


def _limit(most: int) -> Schema:
    return {"type": "number", "minimum": 0, "maximum": most}


_REQUEST_HEADERS: dict[str, tuple[Schema, str]] = {
    "x-turnout-max-cost-usd": (
        _limit(1_000_000),
        "models that are expected to cost more, or whose price is unknown, are no candidates",
    ),
    "x-turnout-max-latency-ms": (_limit(1_000_000), "models that usually take longer are none"),
    "x-turnout-quality": (_limit(1), "the share of the best model's quality to aim at"),
    "x-turnout-session": (
        {"type": "string", "pattern": r"^[A-Za-z0-9_.:/@+-]{1,128}$"},
        "the session that the request belongs to",
    ),
    "x-turnout-kind": ({"enum": list(CALL_KINDS)}, "what the call is for"),
    "x-turnout-priority": ({"enum": ["low", "normal"]}, "low is shed first"),
}
# Of the list of models, as in Anthropic's API.
_PAGE: dict[str, tuple[Schema, str]] = {
    "limit": (
        {"type": "integer", "minimum": 1, "maximum": MOST_LISTED},
        "the most models; without it all that are left",
    ),
    "after_id": (_TEXT, "those after this one"),
    "before_id": (_TEXT, "those just before this one"),
}
# Of a kept answer's input, as in OpenAI's API.
_ITEMS_PAGE: dict[str, tuple[Schema, str]] = {
    "order": ({"enum": [*ORDERS], "default": "desc"}, "the first items first, or the last ones"),
    "limit": (
        {"type": "integer", "minimum": 1, "maximum": MOST_ITEMS, "default": USUAL_ITEMS},
        "the most items",
    ),
    "after": (_TEXT, "those after this one, in that order"),
    "before": (_TEXT, "those just before this one"),
}
_PAGES = {"/v1/models": _PAGE, "/v1/responses/{id}/input_items": _ITEMS_PAGE}
_ANSWER_HEADERS: dict[str, tuple[Schema, str]] = {
    "x-turnout-model": (_TEXT, "the model that made the answer; none where there is no answer"),
    "x-turnout-decision": (_TEXT, "the decision's id, for /v1/decisions/{id} and feedback"),
    "x-turnout-intent": (_TEXT, "the intent on which it was routed"),
    "x-turnout-reason": (_TEXT, "why this model"),
    "x-turnout-cost-usd": (_USD, "what was paid for all attempts"),
    "x-turnout-expected-cost-usd": (_USD, "in a stream, whose cost is not known yet"),
    "x-turnout-attempts": (
        {"type": "integer", "minimum": 0},
        "the calls made for the answer, retries included",
    ),
    "x-turnout-left-out": (_TEXT, "the fields of the request that the model was not told"),
    "x-turnout-cache": ({"const": "hit"}, "the answer is a kept one and cost nothing"),
}


def parameters(path: str) -> list[dict[str, Any]]:
    """What a request to ``path`` may say in headers, and in its query."""
    headers_ = _REQUEST_HEADERS if path in _REQUEST_PATHS else {}
    found = {"header": headers_, "query": _PAGES.get(path, {})}
    return [
        {"name": name, "in": place, "schema": schema, "description": about}
        for place, fields in found.items()
        for name, (schema, about) in fields.items()
    ]


def headers(path: str) -> dict[str, Any]:
    """What every answer says in headers, and one of a model; those that fit, each once."""
    found = {
        "x-request-id": (_TEXT, "the request's id"),
        **(_ANSWER_HEADERS if path in _ANSWER_PATHS else {}),
    }
    return {
        name: {"schema": schema, "description": about} for name, (schema, about) in found.items()
    }
