"""The small worlds that tests of providers share: a deployment, a request, a way to call."""

from collections.abc import AsyncIterator
from typing import Any

from turnout.catalog import Deployment, ModelCard, Provider
from turnout.core import Chunk, Fault, Request, Usage
from turnout.providers import (
    OpenAIChatCodec,
    Timeouts,
    Transport,
    TransportError,
    WireResponse,
    read_all,
)

KEY = "sk-canary-0123456789"
PATIENT = Timeouts(connect_s=30, first_token_s=120, inter_token_s=60, total_s=300)
HASTY = Timeouts(connect_s=2, first_token_s=0.3, inter_token_s=0.2, total_s=5)


def deployment(base_url: str, model: str, **provider: Any) -> Deployment:
    """A deployment without a price."""
    made = Provider(**{"name": "upstream", "base_url": base_url, "api_key": KEY, **provider})
    return Deployment(id=model, card=ModelCard(id=model), provider=made, price=None)


def request(text: str = "hello", *, request_id: str = "req-1", **body: Any) -> Request:
    """A request with one user message."""
    return Request(id=request_id, body={"messages": [{"role": "user", "content": text}], **body})


async def call(
    transport: Transport,
    where: Deployment,
    asked: Request,
    *,
    stream: bool = False,
    timeouts: Timeouts = PATIENT,
) -> list[Chunk | Fault]:
    """Everything that comes back from one call, the way a runtime makes it."""
    codec = OpenAIChatCodec.for_deployment(where)
    found: list[Chunk | Fault] = []
    try:
        response = await transport.send(codec.encode(asked, where, stream=stream), timeouts)
    except TransportError as error:
        return [error.fault]
    try:
        async for item in _items(codec, response, stream=stream and response.status == 200):
            found.append(item)  # noqa: PERF401 -- what came before a fault is kept
    except TransportError as error:
        found.append(error.fault)
    await response.aclose(reuse=True)
    return found


async def _items(
    codec: OpenAIChatCodec, response: WireResponse, *, stream: bool
) -> AsyncIterator[Chunk | Fault]:
    if not stream:
        body = await read_all(response)
        good = response.status == 200
        headers = response.headers
        yield codec.decode(body) if good else codec.classify_error(response.status, headers, body)
        return
    decoder = codec.decoder()
    while piece := await response.read():
        for item in decoder.feed(piece):
            yield item
        if decoder.done:
            return
    fault = decoder.end()
    if fault is not None:
        yield fault


def text_of(found: list[Chunk | Fault]) -> str:
    """All text that was received."""
    chunks = [item for item in found if isinstance(item, Chunk)]
    return "".join(delta.text for chunk in chunks for delta in chunk.deltas)


def usage_of(found: list[Chunk | Fault]) -> Usage | None:
    """The last usage that was received."""
    chunks = [item for item in found if isinstance(item, Chunk)]
    return next((chunk.usage for chunk in reversed(chunks) if chunk.usage), None)


def fault_of(found: list[Chunk | Fault]) -> Fault | None:
    """The fault at the end, if there is one."""
    return next((item for item in found if isinstance(item, Fault)), None)
