"""The wire family of OpenAI's chat completions, spoken by most providers.

Invariant: pure; the caller's body is forwarded as it is, but for ``model``, ``stream``, the wish
for usage and what the provider has another word for.
Source: platform.openai.com/docs/api-reference/chat.
This module does not know connections, clocks or prices.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import structs

from turnout.catalog import Deployment, Provider
from turnout.core import Chunk, Delta, Fault, Request
from turnout.core.request import OBJECT
from turnout.core.unsaid import CACHE_MARK
from turnout.providers.answer_body import bad_answer, read_answer
from turnout.providers.families import MarkedCodec, dump, headers_of, mistyped
from turnout.providers.fields import MISTYPED
from turnout.providers.instructions import in_front, opened
from turnout.providers.openai_chunks import INTERRUPTED, read_chunk
from turnout.providers.openai_stream import OpenAIStreamDecoder
from turnout.providers.openai_words import (
    check_stops,
    in_words_of,
    reports_usage,
    takes_cache_marks,
    takes_late_instructions,
    unknown_to,
)
from turnout.providers.protocol import WireRequest
from turnout.providers.signatures import apart, unsigned
from turnout.providers.stream_decoder import interrupted
from turnout.providers.tool_ids import opaque_user, portable
from turnout.providers.tool_results import as_texts
from turnout.providers.tool_schemas import explicit, with_schema
from turnout.providers.unsaid import without_marks


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIChatCodec(MarkedCodec):
    """The codec for one deployment."""

    _streams = OpenAIStreamDecoder

    def encode(self, request: Request, deployment: Deployment, *, stream: bool) -> WireRequest:
        """The bytes that ask ``deployment`` to answer ``request``.

        Raises InvalidRequest when the body holds a value that JSON has no form for, one of another
        type than the API gives it, or more stops than the provider takes.
        """
        provider = deployment.provider
        body = {**request.body, "model": deployment.model}
        unsaid: list[str] = []
        try:
            body["messages"] = [_portable(message, self.mark) for message in request.messages]
            if request.native is not None:
                unsaid = _readdress(body, request, provider)
            in_words_of(provider, body)
        except MISTYPED as error:
            raise mistyped(error) from error
        check_stops(provider, body.get("stop"))
        _ask_for_stream(body, provider, stream=stream)
        return WireRequest(
            url=f"{provider.base_url.rstrip('/')}/chat/completions",
            body=dump(body),
            headers=headers_of(request, provider, stream=stream),
            unsaid=tuple(unsaid),
            translated=request.native is not None,
        )

    def decode(self, body: bytes) -> Chunk | Fault:
        """A whole answer, or the fault of a body that is none."""
        answer = read_answer(body, self._read, self.secrets)
        if isinstance(answer, Fault):
            return answer
        if not answer.deltas:
            return bad_answer("the answer holds no choices")
        reasons = {delta.finish_reason for delta in answer.deltas} & INTERRUPTED
        if not reasons:
            return answer
        return interrupted(
            f"the provider ended the answer with {', '.join(sorted(map(repr, reasons)))}"
        )

    def _read(self, payload: object) -> Chunk:
        chunk = read_chunk(payload, "message")
        if not self.mark or not any(delta.reasoning for delta in chunk.deltas):
            return chunk
        return structs.replace(chunk, deltas=tuple(map(self._signed, chunk.deltas)))

    def _signed(self, delta: Delta) -> Delta:
        signature = unsigned(self.mark, len(delta.reasoning)) if delta.reasoning else ""
        return structs.replace(delta, signature=signature)


def _ask_for_stream(body: dict[str, Any], provider: Provider, *, stream: bool) -> None:
    if not stream:
        body.pop("stream", None)
        body.pop("stream_options", None)
        return
    body["stream"] = True
    if reports_usage(provider):
        body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}


def _readdress(body: dict[str, Any], request: Request, provider: Provider) -> list[str]:
    """Changes what was written for another API, and not as this provider takes it.

    What it does not take at all is left out, and named.
    """
    body["messages"] = as_texts(opened(body["messages"]))
    if not takes_late_instructions(provider):
        body["messages"] = in_front(body["messages"])
    if request.dialect == "messages" and body.get("tools"):
        body["tools"] = [with_schema(tool, explicit) for tool in body["tools"]]
    if "user" in body:
        body["user"] = opaque_user(body["user"])
    unsaid = [name for name in unknown_to(provider) if body.pop(name, None) is not None]
    if not takes_cache_marks(provider) and without_marks(body):
        unsaid.append(CACHE_MARK)
    return unsaid


def _portable(message: Any, mark: str) -> Any:
    """The message without other models' thoughts, its tool ids in a form that all take."""
    if not isinstance(message, OBJECT):
        return message
    calls, result = message.get("tool_calls"), message.get("tool_call_id")
    if not calls and not result and "reasoning_signature" not in message:
        return message
    clean = dict(message)
    signature = clean.pop("reasoning_signature", None)
    # The model's own thought is asked for beside the calls it led to; elsewhere some refuse it.
    if signature and not (calls and apart(message.get("reasoning_content") or "", signature, mark)):
        clean.pop("reasoning_content", None)
    if isinstance(result, str):
        clean["tool_call_id"] = portable(result)
    if isinstance(calls, list):
        clean["tool_calls"] = [_portable_call(call) for call in calls]
    return clean


def _portable_call(call: Any) -> Any:
    ident = call.get("id") if isinstance(call, Mapping) else None
    return {**call, "id": portable(ident)} if isinstance(ident, str) else call
