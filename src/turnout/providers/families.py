"""What the codecs of all families share: marks, secrets, headers, JSON and error answers.

This module does not know the content of bodies.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import orjson

from turnout.catalog import Deployment, Provider
from turnout.core import Chunk, Dialect, Fault, InvalidRequest, Request
from turnout.providers.answer_body import read_answer
from turnout.providers.credentials import with_credentials
from turnout.providers.errors import classify, read_error
from turnout.providers.fields import MISTYPED
from turnout.providers.protocol import WireRequest
from turnout.providers.scrub import secrets_of
from turnout.providers.signatures import mark_of
from turnout.providers.stream_decoder import StreamDecoder

TRACE = ("traceparent", "tracestate")


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyCodec:
    """The codec for one deployment; a family says what its bodies hold.

    It puts ``mark`` on the model's thoughts, and with an empty one no thought goes back to the
    model. It hides ``secrets`` in every text of a provider that it passes on.
    """

    _dialect: ClassVar[Dialect]
    _path: ClassVar[str]
    _streams: ClassVar[type[StreamDecoder]]
    _tags: ClassVar[tuple[str, ...]] = TRACE
    mark: str = ""
    secrets: frozenset[str] = field(default=frozenset(), repr=False)

    @classmethod
    def for_deployment(cls, deployment: Deployment) -> Self:
        """A codec that marks this deployment's thoughts and knows its provider's secrets."""
        return cls(mark=mark_of(deployment), secrets=secrets_of(deployment.provider))

    def encode(self, request: Request, deployment: Deployment, *, stream: bool) -> WireRequest:
        """The bytes that ask ``deployment`` to answer ``request``. Raises InvalidRequest."""
        provider = deployment.provider
        try:
            body, lost = self._body(request, deployment)
            lost_fields = tuple(lost)
        except MISTYPED as error:
            message = f"a value in messages or tools has the wrong type: {error}"
            raise InvalidRequest(message, field="messages") from error
        self._set_stream(body, provider, stream=stream)
        return WireRequest(
            url=f"{provider.base_url.rstrip('/')}/{self._path}",
            body=_dump(body),
            headers=_headers(request, provider, self._tags, stream=stream),
            lost_fields=lost_fields,
            translated=request.native is not None and request.dialect != self._dialect,
        )

    def decode(self, body: bytes) -> Chunk | Fault:
        """A whole answer, or the fault of a body that is not one."""
        return read_answer(body, self._read, self.secrets)

    def decoder(self) -> StreamDecoder:
        """A fresh decoder for one streamed answer."""
        return self._streams(mark=self.mark, secrets=self.secrets)

    def classify_error(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float | None = None
    ) -> Fault:
        """The fault that an error answer means; ``now`` (epoch seconds) reads dates in headers."""
        return classify(status, read_error(body), headers=headers, now=now, secrets=self.secrets)

    def _body(
        self, request: Request, deployment: Deployment
    ) -> tuple[dict[str, Any], Iterable[str]]:
        """The body, and the fields of the request that it leaves out."""
        raise NotImplementedError

    def _set_stream(self, body: dict[str, Any], provider: Provider, *, stream: bool) -> None:
        del provider
        if stream:
            body["stream"] = True

    def _read(self, payload: object) -> Chunk | Fault:
        """The answer in a decoded body, or its fault. May raise as ``read_answer`` allows."""
        raise NotImplementedError


def chosen(deployment: Deployment, request: Request) -> bool:
    """Whether the caller asked for this model by name, and so wrote the request for it."""
    return request.model in (deployment.id, deployment.model)


def _headers(
    request: Request, provider: Provider, tags: Sequence[str], *, stream: bool
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


def _dump(body: dict[str, Any]) -> bytes:
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
