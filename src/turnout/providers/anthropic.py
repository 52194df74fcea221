"""The wire family of Anthropic's Messages.

Invariant: pure; a request that came as Messages goes on in its own words, others are translated.
Source: platform.claude.com/docs/en/api/messages.
This module does not know connections, clocks or prices.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from turnout.catalog import Deployment, Provider
from turnout.core import Body, Chunk, Fault, InvalidRequest, Request
from turnout.providers.answer_body import read_answer
from turnout.providers.anthropic_answer import read_message
from turnout.providers.anthropic_native import native_body
from turnout.providers.anthropic_request import messages_body
from turnout.providers.anthropic_stream import AnthropicStreamDecoder
from turnout.providers.calling import calling
from turnout.providers.families import MarkedCodec
from turnout.providers.instructions import unbooked
from turnout.providers.protocol import WireRequest
from turnout.providers.tool_ids import opaque_user
from turnout.providers.unsaid import unsaid_in_messages, unsaid_natively


@dataclass(frozen=True, slots=True, kw_only=True)
class AnthropicCodec(MarkedCodec):
    """The codec for one deployment."""

    _streams = AnthropicStreamDecoder

    def encode(self, request: Request, deployment: Deployment, *, stream: bool) -> WireRequest:
        """The bytes that ask ``deployment`` to answer ``request``. Raises InvalidRequest."""
        native = request.native if request.dialect == "messages" else None
        try:
            body = self._body(request, native, deployment)
            lost = unsaid_natively(native, body) if native else unsaid_in_messages(request, body)
            unsaid = tuple(lost)
        except (AttributeError, LookupError, TypeError) as error:
            message = "a value in messages or tools has another type than the API gives it"
            raise InvalidRequest(f"{message}: {error}", field="messages") from error
        if stream:
            body["stream"] = True
        return WireRequest(
            url=f"{deployment.provider.base_url.rstrip('/')}/messages",
            body=_dump(body),
            headers=_headers(request, deployment.provider),
            unsaid=unsaid,
            translated=request.native is not None and native is None,
        )

    def decode(self, body: bytes) -> Chunk | Fault:
        """A whole answer, or the fault of a body that is none."""
        return read_answer(body, lambda payload: read_message(payload, self.mark), self.secrets)

    def _body(
        self, request: Request, native: Body | None, deployment: Deployment
    ) -> dict[str, Any]:
        if native is None:
            return messages_body(request, deployment.card, self.mark)
        names = frozenset({deployment.id, deployment.model})
        body = native_body(native, request, deployment.model, names, self.mark)
        return body if _is_anthropic(deployment) else _readdressed(body)


def _is_anthropic(deployment: Deployment) -> bool:
    host = urlsplit(deployment.provider.base_url).hostname or ""
    return host == "anthropic.com" or host.endswith(".anthropic.com")


def _readdressed(body: dict[str, Any]) -> dict[str, Any]:
    """The body without what is for Anthropic's books, at others who speak its API."""
    found = {**body, "system": unbooked(body["system"])} if body.get("system") else dict(body)
    told = found.get("metadata") or {}
    if "user_id" in told:
        found["metadata"] = {**told, "user_id": opaque_user(told["user_id"])}
    return found


def _headers(request: Request, provider: Provider) -> dict[str, str]:
    headers = {"content-type": "application/json", "x-request-id": request.id}
    for name in ("anthropic-beta", "traceparent"):
        if name in request.tags:
            headers[name] = request.tags[name]
    return calling(provider, headers)


def _dump(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError as error:
        raise InvalidRequest(
            f"the request body cannot be written as JSON ({error}); use plain JSON values",
            field="body",
        ) from error
