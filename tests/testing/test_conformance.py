"""The conformance checks: our codec passes, and each broken one is found."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from msgspec import structs

from turnout.catalog import Deployment, ModelCard, Provider
from turnout.core import Chunk, Fault, Request, Usage
from turnout.providers import OpenAIChatCodec, WireRequest
from turnout.testing import CodecFailure, RecordedAnswer, check_codec

DEPLOYMENT = Deployment(
    id="d",
    card=ModelCard(id="m"),
    provider=Provider(name="p", base_url="http://h/v1", api_key="sk-1234567890"),
    price=None,
)
REQUEST = Request(id="r", body={"messages": [{"role": "user", "content": "x"}]})
USAGE = {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}
WHOLE = RecordedAnswer(
    body=json.dumps(
        {"choices": [{"message": {"content": "né"}, "finish_reason": "stop"}], "usage": USAGE}
    ).encode(),
    streamed=False,
    text="né",
    usage=Usage(input=4, output=2),
)
STREAM = RecordedAnswer(
    body=(
        'data: {"choices":[{"delta":{"content":"n"}}]}\r\n\r\n'
        'data: {"choices":[{"delta":{"content":"é"},"finish_reason":"stop"}]}\n\n'
        f'data: {{"choices":[],"usage":{json.dumps(USAGE)}}}\r\r'
        "data: [DONE]\n\n"
    ).encode(),
    streamed=True,
    text="né",
    usage=Usage(input=4, output=2),
)


def check(codec: Any) -> None:
    """Runs all checks on a codec."""
    check_codec(codec, request=REQUEST, deployment=DEPLOYMENT, answers=[WHOLE, STREAM])


def test_our_codec_passes() -> None:
    """The shipped codec keeps its own contract."""
    check(OpenAIChatCodec())


class Restless(OpenAIChatCodec):
    """Encodes something else each time."""

    count = 0

    def encode(self, request: Request, deployment: Deployment, *, stream: bool) -> WireRequest:
        """A body with a number that rises."""
        type(self).count += 1
        body = {**request.body, "n": self.count}
        return super().encode(Request(id=request.id, body=body), deployment, stream=stream)


class Reshaping(OpenAIChatCodec):
    """Writes into the caller's request."""

    def encode(self, request: Request, deployment: Deployment, *, stream: bool) -> WireRequest:
        """Changes the body it was given."""
        request.body["messages"][0]["content"] = "y"
        return super().encode(request, deployment, stream=stream)


class Greedy(OpenAIChatCodec):
    """Bills cached tokens twice."""

    def decode(self, body: bytes) -> Chunk | Fault:
        """Usage that is off."""
        return Chunk(deltas=super().decode(body).deltas, usage=Usage(input=4, output=3))


class Blocky:
    """Only understands a stream that comes in one piece."""

    done = False

    def __init__(self) -> None:
        self._inner = OpenAIChatCodec().decoder()

    def feed(self, data: bytes) -> Iterable[Chunk | Fault]:
        """Swallows small pieces."""
        return self._inner.feed(data) if len(data) > 40 else []

    def end(self) -> Fault | None:
        """Claims that all is well."""
        return None


class PieceBound(OpenAIChatCodec):
    """Has a decoder that minds how bytes are split."""

    def decoder(self) -> Any:
        """The bad decoder."""
        return Blocky()


class Hopeful(OpenAIChatCodec):
    """Tries everything again."""

    def classify_error(
        self, status: int, headers: Mapping[str, str], body: bytes, *, now: float | None = None
    ) -> Fault:
        """Always transient."""
        return structs.replace(
            super().classify_error(status, headers, body, now=now), retry="transient"
        )


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (Restless, "not repeatable"),
        (Reshaping, "changes the request"),
        (Greedy, "bills"),
        (PieceBound, "read differently|reads differently"),
        (Hopeful, "is retried"),
    ],
)
def test_each_broken_codec_is_found(broken: type[OpenAIChatCodec], says: str) -> None:
    """Every check can fail, and says what is wrong."""
    request = Request(id="r", body={"messages": [{"role": "user", "content": "x"}]})
    with pytest.raises(CodecFailure, match=says):
        check_codec(broken(), request=request, deployment=DEPLOYMENT, answers=[WHOLE, STREAM])
