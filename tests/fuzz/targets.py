"""What each fuzz target does with bytes; any exception that escapes is a finding."""

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

from turnout import Router
from turnout.config import load_mapping
from turnout.core import Chunk, Delta, Fault, Request, RouterError, ToolCallDelta
from turnout.gateway.dialects import About, ApiDialect, Chat, Inbound, Messages, Responses
from turnout.gateway.dialects.left_out import lost_in_chat
from turnout.gateway.problem import internal
from turnout.gateway.strict_json import NotStrictJson, loads
from turnout.providers.anthropic import AnthropicCodec
from turnout.providers.openai_chat import OpenAIChatCodec
from turnout.providers.protocol import Codec
from turnout.providers.responses import ResponsesCodec
from turnout.providers.sse import EventParser, EventTooLarge
from turnout.proving.billing import FixedClassifier
from turnout.runtime import assemble

DIALECTS: tuple[ApiDialect, ...] = (Chat(), Messages(), Responses())
CODECS: tuple[Codec, ...] = (
    OpenAIChatCodec(),
    ResponsesCodec(mark="m"),
    AnthropicCodec(mark="m"),
)
# A provider whose schemas have few words, and an old Claude: both are told most in other words.
_FEW_WORDS = "https://generativelanguage.googleapis.com/v1beta/openai"
_PLAIN = {"messages": [{"role": "user", "content": "2 + 2?"}], "input": "2 + 2?", "max_tokens": 9}


def sse(data: bytes) -> None:
    """The same events for every way of splitting, and nothing beyond the cap."""
    whole = _events([data])
    for size in (1, 2, 7):
        pieces = [data[place : place + size] for place in range(0, len(data), size)]
        assert _events(pieces) == whole, f"split into {size}"


def _events(pieces: Iterable[bytes]) -> list[Any]:
    parser, found = EventParser(max_bytes=4096), []
    try:
        for piece in pieces:
            found += parser.feed(piece)
    except EventTooLarge:
        return [*found, "too large"]
    return [*found, parser.pending()]


def strict(data: bytes) -> None:
    """What is taken has one reading: another parser that refuses duplicates reads the same."""
    try:
        value = loads(data)
    except NotStrictJson:
        return
    assert json.loads(data, object_pairs_hook=_once, parse_int=_number) == value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs), "a key twice"
    return found


def _number(digits: str) -> float:
    value = int(digits)
    return value if -(2**63) <= value < 2**64 else float(digits)


def requests(data: bytes) -> None:
    """A body is refused by name, or routed and encoded for both provider families."""
    try:
        payload = loads(data)
    except NotStrictJson:
        return
    for dialect in DIALECTS:
        try:
            _route(dialect, dialect.read(payload))
        except RouterError:
            continue


def _route(dialect: ApiDialect, inbound: Inbound) -> None:
    request = Request(
        id="r_1",
        body=inbound.body,
        native=inbound.native,
        dialect=dialect.name,
        model=inbound.model,
    )
    router = _router()
    asyncio.run(router.input_tokens(request))
    router.route(request)
    for deployment in router.parts.means.rules.catalog.deployments.values():
        for codec in CODECS:
            with suppress(RouterError):  # another one may have words for it
                codec.encode(request, deployment, stream=inbound.stream)
    assert all(isinstance(name, str) for name in lost_in_chat(request))
    _told(dialect, inbound)


def _told(dialect: ApiDialect, inbound: Inbound) -> None:
    """An answer with a call is written, whole and streamed, to whoever sent this."""
    call = ToolCallDelta(index=0, id="t", name="f", arguments="{}")
    answer = Chunk(deltas=(Delta(text="a", tool_calls=(call,), finish_reason="tool_calls"),))
    dialect.whole(answer, _about(inbound))
    writer = dialect.writer(_about(inbound))
    writer.write(answer)
    writer.end()


def answers(data: bytes) -> None:
    """Whatever a provider sends is an answer or a fault, and every dialect can tell it."""
    for codec in CODECS:
        for status in (400, 429, 500):
            codec.classify_error(status, {"retry-after": data[:20].decode("latin-1")}, data)
        found = codec.decode(data)
        if isinstance(found, Chunk):
            for dialect in DIALECTS:
                dialect.whole(found, _about(dialect.read(dict(_PLAIN))))
        decoder = codec.decoder()
        chunks: list[Chunk | Fault] = []
        for place in range(0, len(data), 11):
            chunks += decoder.feed(data[place : place + 11])
            if chunks and isinstance(chunks[-1], Fault):
                break
        ended = decoder.done
        decoder.end()
        for dialect in DIALECTS:
            writer = dialect.writer(_about(dialect.read(dict(_PLAIN))))
            for chunk in chunks:
                if isinstance(chunk, Chunk):
                    writer.write(chunk)
            _ = writer.end() if ended else writer.fail(internal())


def _about(inbound: Inbound) -> About:
    decision = _decision()
    return About(decision=decision, model="m/fast", created=1, inbound=inbound)


@cache
def _decision() -> Any:
    return _router().route(Request(id="r_1", body=_PLAIN))


@cache
def _router() -> Router:
    price: Mapping[str, int] = {"input": 1, "output": 2}
    acme = {"base_url": "http://127.0.0.1:9/v1", "api_key": "none-needed"}
    config = {
        "providers": {"acme": acme, "few-words": {**acme, "base_url": _FEW_WORDS}},
        "provider": "acme",
        "models": {
            "fast": {"model": "m/fast", "price": price, "modalities": ["text", "image"]},
            "few": {"model": "m/few", "price": price, "provider": "few-words"},
            "old": {"model": "claude-opus-4-1", "price": price},
        },
        "intents": {"simple_qa": "fast", "unsafe": "block"},
        "default": "fast",
        "ledger": "off",
    }
    # Without the classifier's own cost: it reads texts, whatever they are.
    return Router(replace(assemble(load_mapping(config, {}), {}), classifier=FixedClassifier()))


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "sse": sse,
    "json": strict,
    "requests": requests,
    "answers": answers,
}
