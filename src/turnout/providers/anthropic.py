"""The wire family of Anthropic's Messages.

Invariant: pure; a request that came as Messages is passed on, all others are translated.
Source: platform.claude.com/docs/en/api/messages.
This module does not know connections, clocks or prices.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from turnout.catalog import Deployment
from turnout.core import Chunk, Request
from turnout.core.hosts import host_of
from turnout.providers.anthropic_answer import read_message
from turnout.providers.anthropic_native import native_body
from turnout.providers.anthropic_request import messages_body
from turnout.providers.anthropic_stream import AnthropicStreamDecoder
from turnout.providers.families import TRACE, FamilyCodec, chosen
from turnout.providers.instructions import without_billing_line
from turnout.providers.lost_fields import lost_in_messages, lost_natively
from turnout.providers.tool_ids import opaque_user


@dataclass(frozen=True, slots=True, kw_only=True)
class AnthropicCodec(FamilyCodec):
    """The codec for one deployment."""

    _dialect = "messages"
    _path = "messages"
    _streams = AnthropicStreamDecoder
    _tags = (*TRACE, "anthropic-beta")

    def _read(self, payload: object) -> Chunk:
        return read_message(payload, self.mark)

    def _body(
        self, request: Request, deployment: Deployment
    ) -> tuple[dict[str, Any], Iterable[str]]:
        native = request.native
        if native is None or request.dialect != self._dialect:
            body = messages_body(request, deployment.card, self.mark)
            return body, lost_in_messages(request, body)
        trust = chosen(deployment, request)
        body = native_body(native, deployment.model, self.mark, trust=trust)
        body = body if _is_anthropic(deployment) else _for_others(body)
        return body, lost_natively(native, body)


def _is_anthropic(deployment: Deployment) -> bool:
    host = host_of(deployment.provider.base_url)
    return host == "anthropic.com" or host.endswith(".anthropic.com")


def _for_others(body: dict[str, Any]) -> dict[str, Any]:
    """The body for another provider that speaks Messages: without Anthropic's accounting data."""
    if body.get("system"):
        body = {**body, "system": without_billing_line(body["system"])}
    metadata = body.get("metadata") or {}
    if "user_id" in metadata:
        body = {**body, "metadata": {**metadata, "user_id": opaque_user(metadata["user_id"])}}
    return body
