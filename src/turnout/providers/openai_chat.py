"""The wire family of OpenAI's chat completions, which most providers speak.

Invariant: pure; the caller's body is forwarded as it is, except for ``model``, ``stream``, the
request for usage, ids of calls, other models' thoughts, and fields that the provider calls by
another name. A body that was translated from another API is also adapted to the provider.
Source: platform.openai.com/docs/api-reference/chat.
This module does not know connections, clocks or prices.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import structs

from turnout.catalog import Deployment, Provider
from turnout.core import Chunk, Delta, Fault, Request
from turnout.core.lost_fields import CACHE_MARK
from turnout.core.request import OBJECT_TYPES
from turnout.providers.answer_body import bad_answer, interrupted
from turnout.providers.families import FamilyCodec
from turnout.providers.instructions import one_system_message, without_billing_message
from turnout.providers.lost_fields import without_marks
from turnout.providers.openai_chunks import INTERRUPTED, read_chunk
from turnout.providers.openai_stream import OpenAIStreamDecoder
from turnout.providers.openai_words import (
    check_stops,
    id_form,
    rename_fields,
    reports_usage,
    takes_cache_marks,
    takes_late_instructions,
    unknown_to,
)
from turnout.providers.signatures import bare_mark, split_thoughts
from turnout.providers.tool_ids import opaque_user
from turnout.providers.tool_results import as_texts
from turnout.providers.tool_schemas import explicit, with_schema


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIChatCodec(FamilyCodec):
    """The codec for one deployment."""

    _dialect = "chat"
    _path = "chat/completions"
    _streams = OpenAIStreamDecoder

    def _body(
        self, request: Request, deployment: Deployment
    ) -> tuple[dict[str, Any], Iterable[str]]:
        provider = deployment.provider
        body = {**request.body, "model": deployment.model}
        fit = id_form(provider)
        body["messages"] = [_portable(message, self.mark, fit) for message in request.messages]
        lost_fields = () if request.native is None else _adapt(body, request, provider)
        rename_fields(provider, body)
        if "stop" in body:
            check_stops(provider, body["stop"])
        return body, lost_fields

    def _set_stream(self, body: dict[str, Any], provider: Provider, *, stream: bool) -> None:
        if not stream:
            body.pop("stream", None)
            body.pop("stream_options", None)
            return
        body["stream"] = True
        if reports_usage(provider):
            body["stream_options"] = {**(body.get("stream_options") or {}), "include_usage": True}

    def _read(self, payload: object) -> Chunk | Fault:
        answer = read_chunk(payload, "message")
        if not answer.deltas:
            return bad_answer("the answer holds no choices")
        thinks = False
        for delta in answer.deltas:
            if delta.finish_reason in INTERRUPTED:
                reasons = {other.finish_reason for other in answer.deltas} & INTERRUPTED
                shown = ", ".join(sorted(map(repr, reasons)))
                return interrupted(f"the provider ended the answer with {shown}")
            thinks = thinks or bool(delta.reasoning)
        if not (thinks and self.mark):
            return answer
        return structs.replace(answer, deltas=tuple(map(self._signed, answer.deltas)))

    def _signed(self, delta: Delta) -> Delta:
        signature = bare_mark(self.mark, len(delta.reasoning)) if delta.reasoning else ""
        return structs.replace(delta, signature=signature)


def _adapt(body: dict[str, Any], request: Request, provider: Provider) -> list[str]:
    """Changes a body that was translated from another API into what this provider takes.

    Returns the names of the fields that had to be left out.
    """
    body["messages"] = as_texts(without_billing_message(body["messages"]))
    if not takes_late_instructions(provider):
        body["messages"] = one_system_message(body["messages"])
    if request.dialect == "messages" and body.get("tools"):
        body["tools"] = [with_schema(tool, explicit) for tool in body["tools"]]
    if "user" in body:
        body["user"] = opaque_user(body["user"])
    lost_fields = [name for name in unknown_to(provider) if body.pop(name, None) is not None]
    if not takes_cache_marks(provider) and without_marks(body):
        lost_fields.append(CACHE_MARK)
    return lost_fields


def _portable(message: Any, mark: str, fit: Callable[[str], str]) -> Any:
    """The message without other models' thoughts, and with tool ids that ``fit`` the provider."""
    if not isinstance(message, OBJECT_TYPES):
        return message
    calls, result = message.get("tool_calls"), message.get("tool_call_id")
    if not calls and not result and "reasoning_signature" not in message:
        return message
    clean = dict(message)
    signature = clean.pop("reasoning_signature", None)
    # A model needs its own thought back together with calls; without calls some refuse it.
    thoughts = message.get("reasoning_content") or ""
    if signature and not (calls and split_thoughts(thoughts, signature, mark)):
        clean.pop("reasoning_content", None)
    if isinstance(result, str):
        clean["tool_call_id"] = fit(result)
    if isinstance(calls, list):
        clean["tool_calls"] = [_portable_call(call, fit) for call in calls]
    return clean


def _portable_call(call: Any, fit: Callable[[str], str]) -> Any:
    ident = call.get("id") if isinstance(call, Mapping) else None
    return {**call, "id": fit(ident)} if isinstance(ident, str) else call
