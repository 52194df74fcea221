"""The cost of the providers' room: codec, stream decoder and transport, compared with floors.

``python -m benchmarks.providers [--rounds 7]`` prints medians and spread over the rounds; a ratio
is taken in the same round as its floor.
"""

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable

import aiohttp
import orjson

from benchmarks.machine import print_machine
from turnout.catalog import Deployment, ModelCard, Provider
from turnout.core import Request
from turnout.providers import HttpTransport, OpenAIChatCodec, Timeouts
from turnout.testing import FaultyUpstream

CODEC = OpenAIChatCodec()
CHUNKS = 200
CALLS = 200
PATIENT = Timeouts(connect_s=5, first_token_s=30, inter_token_s=30, total_s=60)


def deployment(base_url: str) -> Deployment:
    """A model that answers in ``CHUNKS`` tokens."""
    provider = Provider(name="p", base_url=base_url, api_key="k")
    return Deployment(id="d", card=ModelCard(id=f"f-tokens{CHUNKS}"), provider=provider, price=None)


def request(characters: int = 2000) -> Request:
    """A request of this size."""
    return Request(
        id="r", body={"messages": [{"role": "user", "content": "word " * (characters // 5)}]}
    )


def stream_bytes() -> bytes:
    """A stream of ``CHUNKS`` events as a provider sends it."""
    events = [
        {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "delta": {"content": " word"}, "finish_reason": None}],
        }
        for _ in range(CHUNKS)
    ]
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def seconds_per(work: Callable[[], object], repeats: int) -> float:
    """CPU seconds of one call, over ``repeats``."""
    started = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - started) / repeats


def cpu_figures(rounds: int) -> dict[str, list[float]]:
    """Microseconds by name, one for each round."""
    wire = stream_bytes()
    lines = [line[6:] for line in wire.split(b"\n\n") if line]
    where, message = deployment("http://127.0.0.1:1/v1"), request()
    error = orjson.dumps({"error": {"message": "slow down", "code": "rate_limit_exceeded"}})
    works: dict[str, tuple[Callable[[], object], int, float]] = {
        "stream event, decoded": (lambda: list(CODEC.decoder().feed(wire)), 20, CHUNKS),
        "stream event, floor (JSON only)": (lambda: [orjson.loads(x) for x in lines], 20, CHUNKS),
        "encode 2 kB": (lambda: CODEC.encode(message, where, stream=True), 500, 1),
        "encode 2 kB, floor (JSON only)": (lambda: orjson.dumps(message.body), 500, 1),
        "classify an error": (lambda: CODEC.classify_error(429, {}, error), 500, 1),
    }
    return {
        name: [seconds_per(work, repeats) / share * 1e6 for _ in range(rounds)]
        for name, (work, repeats, share) in works.items()
    }


async def call_figures(rounds: int) -> dict[str, list[float]]:
    """Wall microseconds of a streamed call on loopback, by Turnout and by the bare client."""
    transport = HttpTransport()
    figures: dict[str, list[float]] = {"streamed call, ours": [], "streamed call, bare aiohttp": []}
    with FaultyUpstream() as upstream:
        where = deployment(upstream.base_url)
        async with aiohttp.ClientSession() as session:
            for _ in range(rounds):
                ours = await _timed(lambda: _call_by_turnout(transport, where))
                bare = await _timed(lambda: _call_by_aiohttp(session, where))
                figures["streamed call, ours"].append(ours)
                figures["streamed call, bare aiohttp"].append(bare)
    await transport.aclose()
    return figures


async def _timed(call: Callable[[], Awaitable[None]]) -> float:
    started = time.perf_counter()
    for _ in range(CALLS // 10):
        await call()
    return (time.perf_counter() - started) / (CALLS // 10) * 1e6


async def _call_by_turnout(transport: HttpTransport, where: Deployment) -> None:
    decoder = CODEC.decoder()
    response = await transport.send(CODEC.encode(request(), where, stream=True), PATIENT)
    while piece := await response.read():
        list(decoder.feed(piece))
        if decoder.done:
            break
    await response.aclose(reuse=True)


async def _call_by_aiohttp(session: aiohttp.ClientSession, where: Deployment) -> None:
    wire = CODEC.encode(request(), where, stream=True)
    async with session.post(wire.url, data=wire.body, headers=wire.headers) as response:
        async for _ in response.content.iter_any():
            pass


def main() -> None:
    """Prints machine, versions, medians and spread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    figures = cpu_figures(rounds) | asyncio.run(call_figures(rounds))
    print_machine("aiohttp", "orjson")
    print(f"{rounds} rounds\n")
    for name, values in figures.items():
        low, high = min(values), max(values)
        print(f"{name:34} {statistics.median(values):9.1f} us  ({low:.1f} to {high:.1f})")
    pairs = zip(figures["streamed call, ours"], figures["streamed call, bare aiohttp"], strict=True)
    ratio = statistics.median(ours / bare for ours, bare in pairs)
    print(f"a streamed call of {CHUNKS} tokens costs {ratio:.2f} times the bare client's")


if __name__ == "__main__":
    main()
