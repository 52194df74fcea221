"""The contract of codecs, as checks that a plug-in's author can run.

Invariant: a check only uses the codec's protocol.
This module does not know any particular codec.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from turnout.catalog import Deployment
from turnout.core import Chunk, Fault, Request, Usage
from turnout.providers.protocol import Codec

ALL_STATUSES = tuple(range(300, 600))


class CodecFailure(AssertionError):
    """A codec breaks its contract; the message says where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAnswer:
    """An answer's bytes as a provider sends them, with their meaning.

    ``text`` is that of all deltas, ``usage`` the reported usage (None if there is none).
    """

    body: bytes = field(repr=False)
    streamed: bool
    text: str
    usage: Usage | None = None
    tool_names: tuple[str, ...] = ()


def check_codec(
    codec: Codec,
    *,
    request: Request,
    deployment: Deployment,
    answers: Iterable[RecordedAnswer] = (),
    error_bodies: Iterable[bytes] = (b"", b"{}", b"null", b"<html>", b'{"error": "x"}'),
) -> None:
    """Checks a codec. Raises CodecFailure.

    It must encode the same bytes twice without changing the request, read each recorded answer in
    whatever pieces it arrives, and return a fault for every error status and body.
    """
    _check_encode(codec, request, deployment)
    for answer in answers:
        _check_answer(codec, answer)
    for body in error_bodies:
        _check_errors(codec, body)


def _check_encode(codec: Codec, request: Request, deployment: Deployment) -> None:
    before = repr(request)
    for stream in (False, True):
        first, second = (codec.encode(request, deployment, stream=stream) for _ in range(2))
        _expect((first.body, first.url) == (second.body, second.url), "encode is not repeatable")
        _expect(first.headers == second.headers, "encode's headers are not repeatable")
        key = deployment.provider.api_key
        _expect(not key or key not in repr(first), "repr of the wire request shows the key")
    _expect(repr(request) == before, "encode changes the request")


def _check_answer(codec: Codec, answer: RecordedAnswer) -> None:
    if not answer.streamed:
        _compare([codec.decode(answer.body)], answer, "the whole answer")
        return
    whole = _streamed(codec, [answer.body])
    _compare(whole, answer, "the stream in one piece")
    for size in (1, 2, 3, 7, 64):
        pieces = [answer.body[i : i + size] for i in range(0, len(answer.body), size)]
        _expect(_streamed(codec, pieces) == whole, f"pieces of {size} bytes read differently")
    for cut in range(1, len(answer.body)):
        pieces = [answer.body[:cut], answer.body[cut:]]
        _expect(_streamed(codec, pieces) == whole, f"a split at byte {cut} reads differently")


def _streamed(codec: Codec, pieces: Iterable[bytes]) -> list[Chunk | Fault]:
    decoder = codec.decoder()
    found = [item for piece in pieces for item in decoder.feed(piece)]
    fault = decoder.end()
    return [*found, fault] if fault else found


def _compare(found: Iterable[Chunk | Fault], answer: RecordedAnswer, what: str) -> None:
    chunks = []
    for item in found:
        if isinstance(item, Fault):
            raise CodecFailure(f"{what} ends in a fault: {item.detail}")
        chunks.append(item)
    deltas = [delta for chunk in chunks for delta in chunk.deltas]
    text = "".join(delta.text for delta in deltas)
    _expect(text == answer.text, f"{what} reads {text!r}, not {answer.text!r}")
    names = tuple(call.name for delta in deltas for call in delta.tool_calls if call.name)
    _expect(names == answer.tool_names, f"{what} calls {names}, not {answer.tool_names}")
    usage = next((chunk.usage for chunk in reversed(chunks) if chunk.usage), None)
    _expect(usage == answer.usage, f"{what} bills {usage}, not {answer.usage}")
    _check_buckets(usage)


def _check_buckets(usage: Usage | None) -> None:
    if usage is None:
        return
    buckets = (usage.input, usage.cache_read, usage.cache_write, usage.output, usage.reasoning)
    _expect(min(buckets) >= 0, f"a token bucket is negative: {usage}")
    _expect(sum(buckets) == usage.total_input + usage.total_output, "buckets overlap")


def _check_errors(codec: Codec, body: bytes) -> None:
    headers: Mapping[str, str] = {}
    for status in ALL_STATUSES:
        fault = codec.classify_error(status, headers, body)
        _expect(isinstance(fault, Fault), f"status {status} gives no fault")
        _expect(bool(fault.detail.strip()), f"status {status} has no detail")
        _expect("\n" not in fault.detail, f"the detail of status {status} has several lines")
        final = status in (400, 401, 402, 403, 404, 413, 422)
        _expect(not final or fault.retry == "no", f"status {status} is retried")
    _expect(codec.classify_error(429, headers, body).retry == "rate_limit", "429 is no rate limit")
    _expect(codec.classify_error(503, headers, body).retry == "transient", "503 is not retried")


def _expect(holds: bool, message: str) -> None:  # noqa: FBT001 -- an assertion reads this way
    if not holds:
        raise CodecFailure(message)
