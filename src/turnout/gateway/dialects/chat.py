"""OpenAI's chat completions, the dialect whose body is also the internal one.

Source: platform.openai.com/docs/api-reference/chat. Invariant: unknown fields pass through in both
directions. This module does not know connections or providers.
"""

from collections.abc import Mapping
from typing import Any

import orjson

from turnout.core import Body, Chunk, Dialect, InvalidRequest, Usage, asked_models, check_body
from turnout.gateway.dialects import sse
from turnout.gateway.dialects.protocol import About, Inbound
from turnout.gateway.problem import Problem
from turnout.runtime import chunk_body, completion


class OpenAIDialect:
    """What OpenAI's APIs have in common."""

    def error(self, problem: Problem, request_id: str) -> bytes:
        """``{"error": {...}}``."""
        del request_id
        return orjson.dumps({"error": error_object(problem)})


class Chat(OpenAIDialect):
    """``POST /v1/chat/completions``."""

    name: Dialect = "chat"

    def read(self, payload: object) -> Inbound:
        """The request; ``model`` may be left out, which means auto. Raises InvalidRequest."""
        body = dict(check_body(payload))
        options = body.get("stream_options")
        if options is not None and not isinstance(options, Mapping):
            raise InvalidRequest("stream_options must be an object", field="stream_options")
        model, models = asked_models(body.pop("model", None), body.pop("models", None))
        return Inbound(
            model=model,
            models=models,
            stream=flag(body.pop("stream", None), "stream"),
            include_usage=bool((options or {}).get("include_usage")),
            body=body,
        )

    def whole(self, chunk: Chunk, about: About) -> bytes:
        """A chat completion."""
        body = completion(chunk, about.decision, about.model, about.created)
        return orjson.dumps(body)

    def writer(self, about: About) -> "ChatWriter":
        """A writer of ``chat.completion.chunk`` events."""
        return ChatWriter(about)


class ChatWriter:
    """Writes chunks as they are, and the usage event only if the caller asked for it."""

    def __init__(self, about: About) -> None:
        self._about = about
        self._sent_role = False
        self._sent_usage = False
        self._id: str | None = None

    def write(self, chunk: Chunk) -> bytes:
        """One event."""
        about, translated = self._about, "choices" not in chunk.raw
        if translated and not chunk.deltas:
            return b""
        body = chunk_body(chunk, about.decision, about.model, about.created)
        self._id = body["id"]
        if translated or not about.inbound.include_usage:
            if not body["choices"] and body.get("usage"):
                return b""
            # OpenAI sends usage in a last chunk without choices, which ``end`` writes.
            body.pop("usage", None)
        elif body.get("usage"):
            self._sent_usage = True
        if translated and not self._sent_role:
            self._sent_role = True
            for choice in body["choices"]:
                choice["delta"] = {"role": "assistant", **choice["delta"]}
        return sse.data(body)

    def sign(self) -> bytes:
        """A comment."""
        return sse.COMMENT

    def end(self, usage: Usage | None = None) -> bytes:
        """``[DONE]``; before it the usage, if the caller asked for it and it was not sent yet."""
        if usage and self._about.inbound.include_usage and not self._sent_usage:
            about, last = self._about, Chunk(usage=usage, id=self._id)
            body = chunk_body(last, about.decision, about.model, about.created)
            return sse.data(body) + b"data: [DONE]\n\n"
        return b"data: [DONE]\n\n"

    def fail(self, problem: Problem) -> bytes:
        """An error event, without ``[DONE]`` after it."""
        return sse.data({"error": error_object(problem)})


def error_object(problem: Problem) -> dict[str, Any]:
    """The inner error object in OpenAI's shape, with all attempts."""
    return {
        "message": problem.message,
        "type": problem.type,
        "param": problem.param,
        "code": problem.code,
        **problem.more(),
    }


def first_choice(raw: Body) -> Mapping[str, Any]:
    """The first choice in a chat answer or event; empty if that is not in it."""
    for choice in raw.get("choices") or ():
        if not choice.get("index"):
            found: Mapping[str, Any] = choice
            return found
    return {}


def flag(value: object, name: str) -> bool:
    """A boolean field. Raises InvalidRequest."""
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest(f"{name} is {value!r}; use true or false", field=name)
    return bool(value)
