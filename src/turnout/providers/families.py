"""What the codecs of all families do alike: marks, secrets, and what an error answer means.

This module does not know bodies.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

from turnout.catalog import Deployment
from turnout.core import Fault
from turnout.providers.errors import classify, read_error
from turnout.providers.scrub import secrets_of
from turnout.providers.signatures import mark_of
from turnout.providers.sse import MAX_EVENT_BYTES
from turnout.providers.stream_decoder import StreamDecoder


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscreetCodec:
    """A codec that hides ``secrets`` wherever a provider's text is repeated."""

    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    def classify_error(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float | None = None
    ) -> Fault:
        """The fault that an error answer means; ``now`` (epoch seconds) reads dates in headers."""
        return classify(status, read_error(body), headers=headers, now=now, secrets=self.secrets)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedCodec(DiscreetCodec):
    """The codec for one deployment, whose thoughts carry ``mark``; without one none returns."""

    _streams: ClassVar[type[StreamDecoder]]
    mark: str = ""
    max_event_bytes: int = MAX_EVENT_BYTES

    @classmethod
    def for_deployment(cls, deployment: Deployment) -> Self:
        """A codec that marks this deployment's thoughts and knows its provider's secrets."""
        return cls(mark=mark_of(deployment), secrets=secrets_of(deployment.provider))

    def decoder(self) -> StreamDecoder:
        """A fresh decoder for one streamed answer."""
        return self._streams(
            mark=self.mark, secrets=self.secrets, max_event_bytes=self.max_event_bytes
        )
