"""The wire family of Anthropic's Messages.

Invariant: pure; a request that came as Messages goes on in its own words, others are translated.
Source: platform.claude.com/docs/en/api/messages.
This module does not know connections, clocks or prices.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from turnout.catalog import Deployment, Provider
from turnout.core import Body, Chunk, Fault, Request
from turnout.core.hosts import host_of
from turnout.providers.answer_body import read_answer
from turnout.providers.anthropic_answer import read_message
from turnout.providers.anthropic_native import native_body
from turnout.providers.anthropic_request import messages_body
from turnout.providers.anthropic_stream import AnthropicStreamDecoder
from turnout.providers.calling import calling
from turnout.providers.families import NativeCodec, chosen, trace_of
from turnout.providers.instructions import unbooked
from turnout.providers.tool_ids import opaque_user
from turnout.providers.unsaid import unsaid_in_messages, unsaid_natively

_BETA = "anthropic-beta"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnthropicCodec(NativeCodec):
    """The codec for one deployment."""

    _streams = AnthropicStreamDecoder
    _dialect = "messages"

    def decode(self, body: bytes) -> Chunk | Fault:
        """A whole answer, or the fault of a body that is none."""
        return read_answer(body, lambda payload: read_message(payload, self.mark), self.secrets)

    def _said(
        self, request: Request, native: Body | None, deployment: Deployment
    ) -> tuple[dict[str, Any], Iterable[str]]:
        if native is None:
            body = messages_body(request, deployment.card, self.mark)
            return body, unsaid_in_messages(request, body)
        trust = chosen(deployment, request)
        body = native_body(native, deployment.model, self.mark, trust=trust)
        body = body if _is_anthropic(deployment) else _readdressed(body)
        return body, unsaid_natively(native, body)

    def _headers(self, request: Request, provider: Provider, *, stream: bool) -> dict[str, str]:
        del stream
        headers = {"content-type": "application/json", "x-request-id": request.id}
        if _BETA in request.tags:
            headers[_BETA] = request.tags[_BETA]
        return calling(provider, headers | trace_of(request))


def _is_anthropic(deployment: Deployment) -> bool:
    host = host_of(deployment.provider.base_url)
    return host == "anthropic.com" or host.endswith(".anthropic.com")


def _readdressed(body: dict[str, Any]) -> dict[str, Any]:
    """The body without what is for Anthropic's books, at others who speak its API."""
    found = {**body, "system": unbooked(body["system"])} if body.get("system") else dict(body)
    told = found.get("metadata") or {}
    if "user_id" in told:
        found["metadata"] = {**told, "user_id": opaque_user(told["user_id"])}
    return found
