"""What the codecs of all families share: marks, secrets, headers, JSON and error answers.

This module does not know the content of bodies.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import orjson

from turnout.catalog import Deployment, Provider
from turnout.core import Body, Dialect, Fault, InvalidRequest, Request
from turnout.providers.credentials import with_credentials
from turnout.providers.errors import classify, read_error
from turnout.providers.fields import MISTYPED
from turnout.providers.protocol import WireRequest
from turnout.providers.scrub import secrets_of
from turnout.providers.signatures import mark_of
from turnout.providers.sse import MAX_EVENT_BYTES
from turnout.providers.stream_decoder import StreamDecoder

TRACE = ("traceparent", "tracestate")


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscreetCodec:
    """A codec that hides ``secrets`` in every text of a provider that it passes on."""

    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    def classify_error(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float | None = None
    ) -> Fault:
        """The fault that an error answer means; ``now`` (epoch seconds) reads dates in headers."""
        return classify(status, read_error(body), headers=headers, now=now, secrets=self.secrets)


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedCodec(DiscreetCodec):
    """The codec for one deployment, which puts ``mark`` on the model's thoughts.

    With an empty mark no thought goes back to the model.
    """

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


def chosen(deployment: Deployment, request: Request) -> bool:
    """Whether the caller asked for this model by name, and so wrote the request for it."""
    return request.model in (deployment.id, deployment.model)


def mistyped(error: Exception) -> InvalidRequest:
    """The refusal of a body that holds a value of the wrong type, which raised ``error``."""
    message = f"a value in messages or tools has the wrong type: {error}"
    return InvalidRequest(message, field="messages")


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeCodec(MarkedCodec):
    """A codec that passes on requests of its own dialect, and translates all others."""

    _dialect: ClassVar[Dialect]
    _tags: ClassVar[tuple[str, ...]] = TRACE

    def encode(self, request: Request, deployment: Deployment, *, stream: bool) -> WireRequest:
        """The bytes that ask ``deployment`` to answer ``request``. Raises InvalidRequest."""
        native = request.native if request.dialect == self._dialect else None
        try:
            body, lost = self._body(request, native, deployment)
            lost_fields = tuple(lost)
        except MISTYPED as error:
            raise mistyped(error) from error
        if stream:
            body["stream"] = True
        return WireRequest(
            url=f"{deployment.provider.base_url.rstrip('/')}/{self._dialect}",
            body=dump(body),
            headers=headers_of(request, deployment.provider, self._tags, stream=stream),
            lost_fields=lost_fields,
            translated=request.native is not None and native is None,
        )

    def _body(
        self, request: Request, native: Body | None, deployment: Deployment
    ) -> tuple[dict[str, Any], Iterable[str]]:
        """The body, and the fields of the request that it leaves out."""
        raise NotImplementedError


def headers_of(
    request: Request, provider: Provider, tags: Sequence[str] = TRACE, *, stream: bool
) -> dict[str, str]:
    """The headers of a call, with those of ``tags`` that the request has.

    The headers that the provider's configuration names win.
    """
    headers = {
        "Content-Type": "application/json",
        "Accept": "text/event-stream" if stream else "application/json",
        "X-Request-Id": request.id,
    }
    if request.tags:
        headers |= {name: request.tags[name] for name in tags if name in request.tags}
    return with_credentials(provider, headers)


def dump(body: dict[str, Any]) -> bytes:
    """The body as JSON. Raises InvalidRequest for a value that JSON cannot express."""
    try:
        return orjson.dumps(body, default=_plain)
    except orjson.JSONEncodeError as error:
        raise InvalidRequest(
            f"the request body cannot be written as JSON ({error}); use plain JSON values",
            field="body",
        ) from error


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"type {type(value).__name__} is not JSON")
