"""The request: the caller's own body, and what limits the choice of a model.

Invariant: ``body`` is the caller's own object and is forwarded as it is, except for ``model``.
This module does not know models, prices or providers.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from msgspec import Struct, field

from turnout.core.caller import Caller
from turnout.core.errors import InvalidRequest
from turnout.core.prediction import CallKind

Message = Mapping[str, Any]
Body = Mapping[str, Any]

Dialect = Literal["chat", "messages", "responses", "embeddings"]
# The API that a provider speaks.
Family = Literal["openai", "openai-responses", "anthropic", "embedded"]

AUTO = "auto"
_PLAIN_FIELDS = ("role", "content")
_CAPS, _TEXT_LISTS = ("max_tokens", "max_completion_tokens", "n"), ("stop", "modalities")
_CHECKED_FIELDS = frozenset({*_CAPS, *_TEXT_LISTS, "tools", "response_format"})
# Roles whose messages are instructions.
INSTRUCTION_ROLES = frozenset({"system", "developer"})
# Types for isinstance, the commonest first; a union written at the call would be built each time.
OBJECT_TYPES = (dict, Mapping)
_LIST_TYPES = (list, Sequence)
_CONTENT_TYPES = (str, list, tuple)
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
# The largest count of tokens or answers: more than any model writes, and within any number format.
_MOST_TOKENS = 10**9
MOST_MODELS = 100


class Constraints(Struct, frozen=True, kw_only=True):
    """Limits the caller puts on the choice; None means no limit.

    ``max_cost_pico_usd`` limits the expected cost of the answering call, ``max_latency_ms`` its
    expected latency; ``quality`` in [0, 1] is the least share of the best single model's quality.
    ``allow`` and ``deny`` are models, by configured name or id. ``most_pico_usd`` and
    ``most_tokens`` limit the most that one call may use. Without ``drafts`` no model answers whose
    answer another would have to verify.
    """

    max_cost_pico_usd: int | None = None
    max_latency_ms: float | None = None
    quality: float | None = None
    allow: frozenset[str] | None = None
    deny: frozenset[str] = frozenset()
    most_pico_usd: int | None = None
    most_tokens: int | None = None
    drafts: bool = True


class Request(Struct, frozen=True, kw_only=True):
    """One chat request: ``body`` in OpenAI's shape, ``model`` as the caller named it.

    ``dialect`` is the API that the caller spoke; unless that is chat completions, ``native`` is the
    body as it came and ``body`` its translation. ``tags`` may hold a ``traceparent`` and its
    ``tracestate``. ``caller`` is who asks, by the key that the gateway was given. ``left_out``
    names settings that the model was found to refuse, so that no codec may add them. ``body_bytes``
    is the length of the body as it came, 0 where it did not come as bytes. ``kind`` is the caller's
    own word for what the call is for. ``models`` are further models that may answer: in their order
    if ``model`` names a model, else they are all that may be chosen.
    """

    id: str
    body: Body
    model: str = AUTO
    dialect: Dialect = "chat"
    native: Body | None = None
    constraints: Constraints = field(default_factory=Constraints)
    session: str | None = None
    tenant: str | None = None
    caller: Caller | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    body_bytes: int = 0
    kind: CallKind | None = None
    models: tuple[str, ...] = ()

    @property
    def messages(self) -> Sequence[Message]:
        """The conversation, oldest first."""
        return self.body["messages"]  # type: ignore[no-any-return]

    @property
    def tools(self) -> Sequence[Mapping[str, Any]]:
        """The tool definitions offered to the model."""
        return self.body.get("tools") or ()

    @property
    def wants_json(self) -> bool:
        """Whether the caller asks for JSON or for a JSON schema."""
        wanted = self.body.get("response_format")
        return wanted is not None and wanted.get("type") in ("json_object", "json_schema")

    @property
    def max_output_tokens(self) -> int | None:
        """The caller's own cap on the answer's length, in tokens."""
        cap = self.body.get("max_completion_tokens")
        return cap if cap is not None else self.body.get("max_tokens")

    @property
    def choices(self) -> int:
        """How many answers the caller asks for."""
        wanted = self.body.get("n")
        return wanted if isinstance(wanted, int) and wanted > 1 else 1


def asked_models(model: object, models: object = None) -> tuple[str, tuple[str, ...]]:
    """A body's ``model`` and ``models`` as the name to route by and the further models.

    Without ``model`` it is the first of ``models``, and auto without either. Raises InvalidRequest.
    Source: openrouter.ai/docs/features/model-routing.
    """
    if model is not None and not _is_name(model):
        raise InvalidRequest(f"model is {model!r}; use {AUTO!r} or a model's name", field="model")
    if models is None:
        return str(model or AUTO), ()
    names = models if isinstance(models, _LIST_TYPES) and not isinstance(models, str) else (None,)
    if not all(map(_is_name, names)):
        raise InvalidRequest(f"models is {models!r}; give a list of models' names", field="models")
    if len(names) > MOST_MODELS:
        raise InvalidRequest(
            f"models has {len(names)} names; give at most {MOST_MODELS}", field="models"
        )
    first, *others = dict.fromkeys([model or next(iter(names), AUTO), *names])
    return first, tuple(others)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def json_object(body: object) -> Body:
    """The body itself when it is a JSON object. Raises InvalidRequest."""
    if not isinstance(body, OBJECT_TYPES):
        raise InvalidRequest("the request body must be a JSON object", field="body")
    return body


def check_body(body: object) -> Body:
    """The body itself when it is a usable chat request.

    Raises InvalidRequest naming the field, the value and the fix.
    """
    body = json_object(body)
    messages = body.get("messages")
    if not isinstance(messages, _LIST_TYPES) or isinstance(messages, str) or not messages:
        raise InvalidRequest("messages must be a list with at least one message", field="messages")
    for index, message in enumerate(messages):
        _check_message(message, f"messages[{index}]")
    if not any(map(_has_text, messages)):
        raise InvalidRequest("the prompt is empty: give it some content", field="messages")
    if not _CHECKED_FIELDS.isdisjoint(body):
        _check_caps(body)
        _check_shape(body)
    return body


def _check_message(message: object, where: str) -> None:
    if not isinstance(message, OBJECT_TYPES):
        raise InvalidRequest(f"{where} must be an object with role and content", field=where)
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        known = ", ".join(sorted(_ROLES))
        raise InvalidRequest(f"{where}.role is {role!r}; use one of {known}", field=f"{where}.role")
    content = message.get("content")
    if content is not None and not isinstance(content, _CONTENT_TYPES):
        kind = type(content).__name__
        raise InvalidRequest(
            f"{where}.content must be text or a list of parts, not {kind}", field=f"{where}.content"
        )
    if content and not isinstance(content, str):
        _check_parts(content, f"{where}.content")
    plain = isinstance(content, str) and len(message) == len(_PLAIN_FIELDS)
    for text in (str(content),) if plain else strings(message):
        if not text.isascii():
            _check_text(text, where)


def _check_parts(parts: Sequence[object], where: str) -> None:
    for part in parts:
        if not isinstance(part, OBJECT_TYPES):
            raise InvalidRequest(f"{where} parts must be objects", field=where)
        if not isinstance(part.get("type", ""), str):
            raise InvalidRequest(f"{where} parts' type must be text", field=where)


def _check_text(text: str, where: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidRequest(
            f"{where} holds a lone surrogate at character {error.start}; send valid Unicode text",
            field=where,
        ) from error


def _check_caps(body: Body) -> None:
    for name in _CAPS:
        cap = body.get(name)
        if cap is not None and (type(cap) is not int or not 1 <= cap <= _MOST_TOKENS):
            raise InvalidRequest(
                f"{name} is {cap!r}; use a whole number from 1 to {_MOST_TOKENS}", field=name
            )


def _check_shape(body: Body) -> None:
    tools = body.get("tools")
    if tools is not None and not (
        isinstance(tools, list | tuple) and all(isinstance(tool, Mapping) for tool in tools)
    ):
        raise InvalidRequest("tools must be a list of objects", field="tools")
    for name in _TEXT_LISTS:
        value = body.get(name)
        texts = [value] if isinstance(value, str) else value
        if texts is not None and not (
            isinstance(texts, list | tuple) and all(isinstance(text, str) for text in texts)
        ):
            raise InvalidRequest(f"{name} is {value!r}; use a list of texts", field=name)
    response_format = body.get("response_format")
    if response_format is not None and not isinstance(response_format, Mapping):
        raise InvalidRequest("response_format must be an object", field="response_format")


def _has_text(message: Message) -> bool:
    content = message.get("content")
    if isinstance(content, str):
        return bool(content.strip())
    return any(
        part.get("type") != "text" or str(part.get("text", "")).strip() for part in content or ()
    )


def strings(value: object) -> list[str]:
    """Every string inside a JSON value, keys left out, in document order."""
    found: list[str] = []
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            pending.extend(reversed(item.values()))
        elif isinstance(item, Mapping):
            pending.extend(reversed(list(item.values())))
        elif isinstance(item, list | tuple):
            pending.extend(reversed(item))
    return found


def parts_of(content: object) -> list[Any]:
    """A message's content as parts: a string is a text, and what is no list holds none."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return list(content) if isinstance(content, list | tuple) else []


def text_of(message: Message) -> str:
    """The text of a message: its content string, or its text parts joined by newlines."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = (
        part.get("text") for part in content or () if part.get("type") in ("text", "input_text")
    )
    return "\n".join(part for part in parts if isinstance(part, str))
