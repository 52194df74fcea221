"""The small worlds that tests of providers share: a deployment, a request, a way to call."""

from typing import Any

from turnout.catalog import Deployment, ModelCard, Provider
from turnout.core import Chunk, Fault, Request, Usage
from turnout.providers import HttpTransport, OpenAIChatCodec, Timeouts, TransportError

KEY = "sk-canary-0123456789"
PATIENT = Timeouts(connect_s=2, first_token_s=5, inter_token_s=5, total_s=20)
HASTY = Timeouts(connect_s=2, first_token_s=0.3, inter_token_s=0.2, total_s=5)


def deployment(base_url: str, model: str, **provider: Any) -> Deployment:
    """A deployment without a price."""
    made = Provider(**{"name": "upstream", "base_url": base_url, "api_key": KEY, **provider})
    return Deployment(id=model, card=ModelCard(id=model), provider=made, price=None)


def request(text: str = "hello", *, request_id: str = "req-1", **body: Any) -> Request:
    """A request with one user message."""
    return Request(id=request_id, body={"messages": [{"role": "user", "content": text}], **body})


async def call(
    transport: HttpTransport,
    where: Deployment,
    asked: Request,
    *,
    stream: bool = False,
    timeouts: Timeouts = PATIENT,
) -> list[Chunk | Fault]:
    """Everything that comes back from one call, the way a runtime makes it."""
    codec = OpenAIChatCodec.for_provider(where.provider)
    try:
        response = await transport.send(codec.encode(asked, where, stream=stream), timeouts)
    except TransportError as error:
        return [error.fault]
    found: list[Chunk | Fault] = []
    decoder = codec.decoder()
    try:
        if response.status != 200 or not stream:
            body = b"".join([piece async for piece in response.chunks()])
            whole = response.status == 200
            found.append(
                codec.decode(body)
                if whole
                else codec.classify_error(response.status, response.headers, body)
            )
            return found
        async for piece in response.chunks():
            found.extend(decoder.feed(piece))
            if decoder.done:
                break
        fault = decoder.end()
        return [*found, fault] if fault else found
    except TransportError as error:
        return [*found, error.fault]
    finally:
        await response.aclose(reuse=True)


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
