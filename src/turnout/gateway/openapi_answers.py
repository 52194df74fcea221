"""What each path answers, as schemas for the OpenAPI document.

Invariant: a schema requires what every answer of the gateway has, and allows what a provider adds;
tests hold real answers to them. This module does not know requests.
"""

from typing import Any

from turnout.gateway.openapi_headers import headers

Schema = dict[str, Any]


def an_object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> Schema:
    """An object that has at least these fields."""
    needs = {"required": list(required)} if required else {}
    return {"type": "object", **needs, "properties": {**required, **(optional or {})}}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_TEXT: Schema = {"type": "string"}
_MAYBE_TEXT: Schema = {"type": ["string", "null"]}
_NUMBER: Schema = {"type": "number"}
_MAYBE_NUMBER: Schema = {"type": ["number", "null"]}
_COUNT: Schema = {"type": "integer", "minimum": 0}

_ATTEMPT = an_object(
    {"model": _TEXT, "provider": _TEXT, "status": {"enum": ["ok", "failed", "cancelled"]}},
    {
        "error": _MAYBE_TEXT,
        "detail": _MAYBE_TEXT,
        "provider_status": {"type": ["integer", "null"]},
        "retry_after_s": _MAYBE_NUMBER,
        "latency_ms": _NUMBER,
    },
)
_TOOL_CALL = an_object(
    {"id": _TEXT, "type": _TEXT, "function": an_object({"name": _TEXT, "arguments": _TEXT})}
)
_MESSAGE = an_object(
    {"role": {"const": "assistant"}},
    {"content": _MAYBE_TEXT, "refusal": _MAYBE_TEXT, "tool_calls": _list(_TOOL_CALL)},
)
_EMBEDDING = an_object(
    {
        "object": {"const": "embedding"},
        "index": _COUNT,
        "embedding": {"anyOf": [_list(_NUMBER), _TEXT]},
    }
)
_MODEL = an_object(
    {"id": _TEXT, "object": {"const": "model"}, "created": _COUNT, "owned_by": _TEXT},
    {"model": _TEXT, "kind": {"enum": ["chat", "embedding"]}, "context_window": _COUNT},
)
_CANDIDATE = an_object(
    {"deployment": _TEXT, "model": _TEXT, "excluded": _MAYBE_TEXT, "reason": _TEXT},
    {
        "cost_pico_usd": {"type": ["integer", "null"]},
        "cold_pico_usd": {"type": ["integer", "null"]},
        "ranked_pico_usd": {"type": ["integer", "null"]},
        "cache_read_tokens": _COUNT,
        "cache_write_tokens": _COUNT,
        "propensity": _NUMBER,
    },
)
_ROUTE = an_object(
    {"deployment": _TEXT, "model": _TEXT, "provider": _TEXT, "role": _TEXT, "ordinal": _COUNT}
)

SCHEMAS: dict[str, Schema] = {
    "Error": an_object(
        {
            "error": an_object(
                {"message": _TEXT, "type": _TEXT, "code": _TEXT, "param": _MAYBE_TEXT},
                {"attempts": _list(_ATTEMPT)},
            )
        }
    ),
    "MessagesError": an_object(
        {
            "type": {"const": "error"},
            "request_id": _TEXT,
            "error": an_object(
                {"type": _TEXT, "message": _TEXT, "code": _TEXT}, {"attempts": _list(_ATTEMPT)}
            ),
        }
    ),
    "ChatCompletion": an_object(
        {
            "id": _TEXT,
            "object": {"const": "chat.completion"},
            "created": _COUNT,
            "model": _TEXT,
            "choices": _list(
                an_object({"index": _COUNT, "message": _MESSAGE, "finish_reason": _MAYBE_TEXT})
            ),
        },
        {"usage": {"type": ["object", "null"]}},
    ),
    "Message": an_object(
        {
            "id": _TEXT,
            "type": {"const": "message"},
            "role": {"const": "assistant"},
            "model": _TEXT,
            "content": _list(an_object({"type": _TEXT})),
            "stop_reason": _MAYBE_TEXT,
            "usage": an_object({"input_tokens": _COUNT, "output_tokens": _COUNT}),
        }
    ),
    "ModelResponse": an_object(
        {
            "id": _TEXT,
            "object": {"const": "response"},
            "created_at": _COUNT,
            "status": {"enum": ["completed", "incomplete", "failed", "in_progress"]},
            "model": _TEXT,
            "output": _list(an_object({"type": _TEXT})),
        }
    ),
    "InputItems": an_object(
        {
            "object": {"const": "list"},
            "data": _list(an_object({"id": _TEXT, "type": _TEXT})),
            "has_more": {"type": "boolean"},
            "first_id": _MAYBE_TEXT,
            "last_id": _MAYBE_TEXT,
        }
    ),
    "DeletedResponse": an_object(
        {"id": _TEXT, "object": {"const": "response"}, "deleted": {"const": True}}
    ),
    "InputTokens": an_object(
        {"object": {"const": "response.input_tokens"}, "input_tokens": _COUNT}
    ),
    "Embeddings": an_object(
        {
            "object": {"const": "list"},
            "model": _TEXT,
            "data": _list(_EMBEDDING),
            "usage": an_object({"prompt_tokens": _COUNT, "total_tokens": _COUNT}),
        }
    ),
    "Model": _MODEL,
    "Models": an_object({"object": {"const": "list"}, "data": _list(_MODEL)}),
    "Tokens": an_object({"input_tokens": _COUNT}),
    "Decision": an_object(
        {
            "id": _TEXT,
            "request_id": _TEXT,
            "intent": _TEXT,
            "confidence": _NUMBER,
            "reason": _TEXT,
            "model": _MAYBE_TEXT,
            "blocked": _MAYBE_TEXT,
            "candidates": _list(_CANDIDATE),
            "routes": _list(_ROUTE),
            "explanation": _TEXT,
        },
        {"attempts": _list({"type": "object"}), "cost_usd": _MAYBE_NUMBER},
    ),
    "Feedback": an_object(
        {"decision_id": _TEXT, "metric": _TEXT, "value": _NUMBER, "source": _TEXT}
    ),
    "Health": an_object({"status": {"const": "ok"}}),
    "Readiness": an_object({"status": _TEXT, "models": _list(_TEXT)}),
}

_ANSWERS = {
    "/v1/chat/completions": "ChatCompletion",
    "/v1/responses": "ModelResponse",
    "/v1/responses/{id}": "ModelResponse",
    "/v1/responses/{id}/input_items": "InputItems",
    "/v1/responses/input_tokens": "InputTokens",
    "/v1/messages": "Message",
    "/v1/messages/count_tokens": "Tokens",
    "/v1/embeddings": "Embeddings",
    "/v1/models": "Models",
    "/v1/models/{id}": "Model",
    "/v1/route": "Decision",
    "/v1/decisions/{id}": "Decision",
    "/v1/feedback": "Feedback",
    "/healthz": "Health",
    "/readyz": "Readiness",
}
_DELETIONS = {"/v1/responses/{id}": "DeletedResponse"}
_STREAMED = frozenset({"/v1/chat/completions", "/v1/responses", "/v1/messages"})


def responses(method: str, path: str) -> dict[str, Any]:
    """The ``responses`` of an operation on ``path``."""
    name = (_DELETIONS if method == "delete" else _ANSWERS).get(path)
    answer: dict[str, Any] = {"description": "OK"}
    if name is not None:
        answer["content"] = {"application/json": {"schema": _ref(name)}}
    if path == "/metrics":
        answer["content"] = {"text/plain": {"schema": _TEXT}}
    if path in _STREAMED:
        answer["content"]["text/event-stream"] = {"schema": _TEXT}
    error = "MessagesError" if path.startswith("/v1/messages") else "Error"
    content = {"application/json": {"schema": _ref(error)}}
    found = {
        "200": answer,
        "4XX": {"description": "refused", "content": content},
        "5XX": {
            "description": "cannot be answered now; every attempt is listed",
            "content": content,
        },
    }
    if path == "/readyz":
        found["503"] = {"description": "not ready", "content": answer["content"]}
    return {status: {**response, "headers": headers(path)} for status, response in found.items()}
