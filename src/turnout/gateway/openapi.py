"""The OpenAPI document, written from one table.

Does not describe the answers of other APIs in full: their own documents do.
"""

from typing import Any

from turnout import __version__
from turnout.core.feedback import LONGEST_METRIC, MOST_VALUE, SOURCES
from turnout.core.request import MOST_MODELS
from turnout.gateway.idempotency import MOST_CHARACTERS, PATHS, ROTATE
from turnout.gateway.openapi_answers import SCHEMAS, an_object, responses
from turnout.gateway.openapi_headers import parameters

_CHAT_MESSAGE = an_object(
    {"role": {"enum": ["system", "developer", "user", "assistant", "tool", "function"]}},
    {
        "content": {
            "anyOf": [
                {"type": ["string", "null"]},
                {"type": "array", "items": {"type": "object"}},
            ]
        }
    },
)
_MODEL = {
    "type": "string",
    "minLength": 1,
    "default": "auto",
    "description": "auto, an intent, a policy, or a model, which bypasses routing",
}
_MODELS = {
    "type": "array",
    "maxItems": MOST_MODELS,
    "items": {"type": "string", "minLength": 1},
    "description": "models to try in order, or with auto those to choose among",
}
_COMMON = {"model": _MODEL, "models": _MODELS, "stream": {"type": "boolean"}}
_WITH_MESSAGES = {"messages": {"type": "array", "minItems": 1, "items": _CHAT_MESSAGE}}
_CAP = {"max_tokens": {"type": "integer", "minimum": 1}}
_TOOLS = {"tools": {"type": "array", "items": {"type": "object"}}}
_CHAT = an_object(_WITH_MESSAGES, {**_COMMON, **_CAP, **_TOOLS})
_MESSAGES = an_object({**_WITH_MESSAGES, **_CAP}, {**_COMMON, **_TOOLS})
_RESPONSES = an_object(
    {"input": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]}},
    {
        **_COMMON,
        "previous_response_id": {
            "type": ["string", "null"],
            "description": "an answer of the last day, on which this one follows",
        },
        "store": {
            "type": ["boolean", "null"],
            "default": True,
            "description": "whether the answer may be named by a later request, and be fetched",
        },
    },
)
_COUNTED = an_object({}, _RESPONSES["properties"])
_TOKENS = {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}}
_TEXT = {"type": "string", "minLength": 1}
_TEXT_LIST = {
    "type": "array",
    "minItems": 1,
    "maxItems": 2048,
    "items": {"anyOf": [_TEXT, _TOKENS]},
}
_EMBEDDINGS = an_object(
    {"input": {"anyOf": [_TEXT, _TOKENS, _TEXT_LIST]}},
    {
        "model": {**_TEXT, "description": "a model of kind embedding"},
        "dimensions": {"type": "integer", "minimum": 1},
        "encoding_format": {"enum": ["float", "base64"]},
    },
)
_NAME_TEXT = {**_TEXT, "maxLength": 64}
_FEEDBACK = an_object(
    {
        "decision_id": {"type": "string"},
        "metric": {**_TEXT, "maxLength": LONGEST_METRIC},
        "value": {"type": ["number", "boolean"], "minimum": -MOST_VALUE, "maximum": MOST_VALUE},
    },
    {"source": {"enum": [*SOURCES]}},
)
# A body of any of the three chat dialects.
_ROUTED = {"anyOf": [_CHAT, _RESPONSES]}
_BUDGET = an_object(
    {
        "per": {"enum": ["all", "team", "key", "session", "model"]},
        "window": {"enum": ["minute", "hour", "day", "week", "month", "total"]},
    },
    {
        "name": _TEXT,
        "usd": {"type": "number", "minimum": 0},
        "requests": {"type": "integer", "minimum": 0},
        "tokens": {"type": "integer", "minimum": 0},
        "when_full": {"enum": ["refuse", "cheaper"]},
    },
)
_NAME = an_object({"name": _NAME_TEXT})
_KEY = an_object(
    {"name": _NAME_TEXT},
    {
        "team": {"type": "string"},
        "parent": {"type": "string"},
        "admin": {"type": "boolean"},
        "models": {"type": "array", "items": {"type": "string"}},
        "expires_in_s": {"type": "integer", "minimum": 1},
        "budgets": {"type": "array", "items": {"type": "object"}},
    },
)
_ROTATE = an_object({}, {"overlap_s": {"type": "integer", "minimum": 0, "maximum": 2_592_000}})
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "maxLength": MOST_CHARACTERS, "pattern": "^[!-~]+$"},
    "description": (
        "carries the request out once: the same one again gets the same answer for a day "
        "(idempotent-replayed: true), another one a 422, and while the first is under way a 409"
    ),
}
_Row = tuple[str, str, str, str, dict[str, Any] | None]
# Method, path, what generated clients call it, what it is for, and its body.
_TABLE: tuple[_Row, ...] = (
    ("post", "/v1/chat/completions", "createChatCompletion", "OpenAI chat completions", _CHAT),
    ("post", "/v1/responses", "createResponse", "OpenAI Responses", _RESPONSES),
    ("get", "/v1/responses/{id}", "getResponse", "A stored answer of Responses", None),
    ("delete", "/v1/responses/{id}", "deleteResponse", "Deletes a stored answer", None),
    ("get", "/v1/responses/{id}/input_items", "listInputItems",
     "The items that it answered", None),
    ("post", "/v1/responses/input_tokens", "countInputTokens",
     "Tokens of a Responses body", _COUNTED),
    ("post", "/v1/messages", "createMessage", "Anthropic Messages", _MESSAGES),
    ("post", "/v1/messages/count_tokens", "countTokens", "Tokens of a Messages body", _MESSAGES),
    ("post", "/v1/embeddings", "createEmbeddings", "OpenAI embeddings", _EMBEDDINGS),
    ("get", "/v1/models", "listModels", "What can be asked for", None),
    ("get", "/v1/models/{id}", "getModel", "One of them", None),
    ("post", "/v1/route", "route", "The decision on a body; no model is called", _ROUTED),
    ("get", "/v1/decisions/{id}", "getDecision", "A decision and what came of it", None),
    ("post", "/v1/feedback", "giveFeedback", "How good an answer was", _FEEDBACK),
    ("get", "/v1/keys", "listKeys", "Every key, without its secret; for administrators", None),
    ("post", "/v1/keys", "createKey", "A new key, shown once; for administrators", _KEY),
    ("delete", "/v1/keys/{id}", "revokeKey",
     "Revokes a key and its children; for administrators", None),
    ("patch", "/v1/keys/{id}", "renameKey", "Renames a key; for administrators", _NAME),
    ("post", "/v1/keys/{id}/rotate", "rotateKey",
     "A key's new secret, shown once; for administrators", _ROTATE),
    ("get", "/v1/budgets", "listBudgets",
     "Where the caller's budgets stand; for administrators all", None),
    ("post", "/v1/budgets", "setBudget", "Sets a budget; for administrators", _BUDGET),
    ("delete", "/v1/budgets/{id}", "removeBudget", "Removes a budget; for administrators", None),
    ("get", "/healthz", "health", "Whether the process serves", None),
    ("get", "/readyz", "readiness", "Whether requests can be taken", None),
    ("get", "/metrics", "metrics", "Prometheus metrics", None),
)  # fmt: skip


def document() -> dict[str, Any]:
    """The document."""
    paths: dict[str, Any] = {}
    for method, path, name, summary, body in _TABLE:
        operation = _operation(method, path, summary, body)
        if method == "post" and (path in PATHS or path.endswith(ROTATE)):
            operation["parameters"].append(_IDEMPOTENCY_KEY)
        paths.setdefault(path, {})[method] = {"operationId": name, **operation}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Turnout", "version": __version__},
        "paths": paths,
        # Without any key only this machine is served, and then it needs none.
        "security": [{"key": []}, {}],
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def paths() -> list[tuple[str, str]]:
    """Every method and path there is."""
    return [(method.upper(), path) for method, path, *_ in _TABLE]


def _operation(method: str, path: str, summary: str, body: dict[str, Any] | None) -> dict[str, Any]:
    found_parameters = parameters(path)
    if "{id}" in path:
        found_parameters.append(
            {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
        )
    found: dict[str, Any] = {
        "summary": summary,
        "parameters": found_parameters,
        "responses": responses(method, path),
    }
    if body is not None:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return found
