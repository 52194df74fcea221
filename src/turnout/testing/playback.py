"""Answers one chat call as its script says, and counts it on the invoice.

Invariant: a token is on the invoice before its bytes are sent.
This module does not know servers or threads.
"""

import json
import time
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Protocol

from turnout.testing.answers import Answer
from turnout.testing.http1 import Exchange, PeerGone
from turnout.testing.invoice import InvoiceEntry, usage_object
from turnout.testing.refusals import error_object
from turnout.testing.script import Script

_HTML = b"<!DOCTYPE html><html><body><h1>Bad gateway</h1></body></html>"
_LATE_USAGE_S = 0.05
_BEFORE_RESET_S = 0.02
_IDLE_S = 0.02
_EXTRA_BODY = json.dumps(
    {
        "id": "chatcmpl-smuggled",
        "object": "chat.completion",
        "created": 0,
        "model": "smuggled",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "smuggled"},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
).encode()
_EXTRA_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
_EXTRA_ANSWER = _EXTRA_HEAD % len(_EXTRA_BODY) + _EXTRA_BODY


class Wire(Protocol):
    """A wire form other than chat's, into which an answer is translated."""

    def whole(self, completion: Mapping[str, Any]) -> dict[str, Any]:
        """A whole answer."""
        ...

    def events(self, payload: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The events of one chat event, each with its ``type``."""
        ...

    def end(self) -> Iterator[dict[str, Any]]:
        """The events that end the stream."""
        ...


class Playback:
    """Plays ``answer`` on ``exchange``; ``include_usage`` is the caller's option of that name.

    ``wire`` is the form to send it in, if that is not chat's.
    """

    def __init__(
        self,
        exchange: Exchange,
        entry: InvoiceEntry,
        script: Script,
        answer: Answer,
        *,
        include_usage: bool,
        wire: Wire | None = None,
    ) -> None:
        self._exchange = exchange
        self._entry = entry
        self._script = script
        self._answer = answer
        self._include_usage = include_usage
        self._wire = wire
        self._line_end = "\r\n" if "crlf" in script else "\r" if "cr" in script else "\n"

    async def play(self) -> bool:
        """Answers the call; returns whether the connection may be used for another one."""
        try:
            return await self._play()
        except PeerGone:
            self._entry.peer_closed_after = self._entry.completion_tokens
            if "billall" in self._script:
                for _ in self._produce():
                    pass
            return False
        finally:
            self._entry.ended_s = time.monotonic()

    async def _play(self) -> bool:
        if self._script.slow_s:
            await self._exchange.wait(self._script.slow_s)
        if "hang" in self._script:
            await self._exchange.wait(None)
        if self._script.at.get("reset") == 0:
            self._exchange.reset()
            return False
        self._entry.status = 200
        if await self._sent_no_answer():
            return True
        self._exchange.bytewise = "bytewise" in self._script
        self._exchange.extra_bytes = _EXTRA_ANSWER if "extrabytes" in self._script else b""
        return await (self._stream() if self._entry.stream else self._whole())

    async def _sent_no_answer(self) -> bool:
        """Sends something that is not an answer, if the script says so."""
        if "html200" in self._script:
            await self._exchange.whole(200, {"Content-Type": "text/html"}, _HTML)
        elif "redirect" in self._script:
            self._entry.status = 302
            await self._exchange.whole(302, {"Location": "/elsewhere"}, b"")
        elif "gzipbomb" in self._script:
            headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
            await self._exchange.whole(200, headers, _gzip_bomb())
        else:
            return False
        return True

    def _produce(self) -> Iterator[Mapping[str, Any]]:
        """Produces the answer token by token, each one counted before it is handed out."""
        for index in range(self._entry.completion_tokens, len(self._answer.deltas)):
            self._entry.completion_tokens = index + 1
            self._entry.reasoning_tokens = min(index + 1, self._answer.reasoning)
            yield self._answer.deltas[index]

    async def _whole(self) -> bool:
        for _ in self._produce() if "empty" not in self._script else ():
            await self._pace()
            if await self._breaks_off(self._entry.completion_tokens):
                return False
        completion = self._completion()
        body = json.dumps(self._wire.whole(completion) if self._wire else completion).encode()
        headers = {"Content-Type": "application/json", **self._extra_headers()}
        if "halfjson" in self._script:
            body = body[: len(body) // 2]
        if "badlength" in self._script:
            await self._exchange.head(200, {**headers, "Content-Length": str(len(body) + 10)})
            await self._exchange.raw(body)
            return False
        await self._exchange.whole(200, headers, body)
        self._entry.finished = True
        return True

    async def _stream(self) -> bool:
        headers = {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"}
        await self._exchange.head(200, {**headers, **self._extra_headers()})
        if "bom" in self._script:
            await self._exchange.piece(b"\xef\xbb\xbf")
        if "empty" not in self._script:
            await self._event(self._chunk({"role": "assistant", "content": ""}))
            if await self._breaks_off(0) or await self._tokens():
                return "error" in self._script.at
        for event in self._closing_events():
            if "lateusage" in self._script and not event.get("choices"):
                await self._exchange.wait(_LATE_USAGE_S)
            await self._event(event)
        if "nodone" not in self._script:
            await self._done()
        await self._exchange.piece(b"")
        self._entry.finished = True
        return True

    async def _pace(self) -> None:
        if self._script.drip_s:
            await self._exchange.wait(self._script.drip_s)

    async def _tokens(self) -> bool:
        """Streams the answer's tokens; returns whether that broke off."""
        for delta in self._produce():
            await self._pace()
            await self._event(self._chunk(delta))
            if await self._breaks_off(self._entry.completion_tokens):
                return True
        return False

    async def _breaks_off(self, produced: int) -> bool:
        """Does what the script says after this token; returns whether the answer ends here."""
        due = {fault for fault, tokens in self._script.at.items() if tokens == produced}
        if "stall" in due:
            await self._exchange.wait(None)
        if "reset" in due:
            await self._exchange.wait(_BEFORE_RESET_S)
            self._exchange.reset()
        if self._entry.stream:
            await self._send_garbage(due)
            while "idle" in due:
                await self._exchange.wait(_IDLE_S)
                await self._event(self._chunk({}))
        ends = {"reset", "cut", "error", "badhex"} if self._entry.stream else {"reset", "cut"}
        return bool(due & ends)

    async def _send_garbage(self, due: set[str]) -> None:
        """Sends something that does not belong into a stream."""
        for _ in range(("badchunk" in due) + 2 * ("badchunks" in due)):
            await self._send('{"choices": [{"delta"')
        if "error" in due:
            await self._event({"error": error_object(self._script, 500)})
            await self._exchange.piece(b"")
        if "badhex" in due:
            await self._exchange.raw(b"zz\r\n")

    def _closing_events(self) -> Iterator[dict[str, Any]]:
        if "hugeevent" in self._script:
            yield self._chunk({"content": "x" * (9 * 2**20)})
        if "nofinish" not in self._script and "empty" not in self._script:
            yield self._chunk({}, self._answer.finish_reason)
        wanted = self._include_usage or "lateusage" in self._script
        if wanted and "nousage" not in self._script:
            yield {**self._envelope("chat.completion.chunk"), "choices": [], "usage": self._usage()}

    def _completion(self) -> dict[str, Any]:
        message = self._answer.message()
        choice = {"index": 0, "message": message, "finish_reason": self._answer.finish_reason}
        choice |= self._answer.logprobs(self._answer.deltas)
        answer = self._envelope("chat.completion")
        answer["choices"] = [] if "empty" in self._script else [choice]
        return answer if "nousage" in self._script else {**answer, "usage": self._usage()}

    def _chunk(self, delta: Mapping[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        choice |= self._answer.logprobs([delta])
        return {**self._envelope("chat.completion.chunk"), "choices": [choice]}

    def _envelope(self, kind: str) -> dict[str, Any]:
        model = "another-model" if "othermodel" in self._script else self._entry.model
        identity = f"chatcmpl-{self._entry.nonce or self._entry.request_id}"
        return {"id": identity, "object": kind, "created": int(time.time()), "model": model}

    def _usage(self) -> dict[str, Any] | None:
        self._entry.usage_sent = True
        return usage_object(self._entry, self._script.flags)

    def _extra_headers(self) -> dict[str, str]:
        padding = {"X-Padding": "x" * 65536} if "hugeheader" in self._script else {}
        return {**padding, **_rate_limit_headers(*(self._script.wait or ("", 0.0)))}

    async def _done(self) -> None:
        if self._wire is None:
            await self._send("[DONE]")
            return
        for event in self._wire.end():
            await self._send(json.dumps(event), event["type"])

    async def _event(self, payload: Mapping[str, Any]) -> None:
        if self._wire is None:
            await self._send(json.dumps(payload))
            return
        for event in self._wire.events(payload):
            await self._send(json.dumps(event), event["type"])

    async def _send(self, data: str, name: str = "") -> None:
        comment = (
            f": keep-alive{self._line_end}{self._line_end}" if "comments" in self._script else ""
        )
        blank = "" if "nospace" in self._script else " "
        event_line = f"event:{blank}{name}{self._line_end}" if name else ""
        text = f"{comment}{event_line}data:{blank}{data}{self._line_end}{self._line_end}"
        await self._exchange.piece(text.encode())


def _rate_limit_headers(kind: str, wait_s: float) -> dict[str, str]:
    """Headers of a rate limit of which nothing is left for so long."""
    if kind == "spent":
        return {
            "X-RateLimit-Remaining-Requests": "0",
            "X-RateLimit-Reset-Requests": f"{wait_s:g}s",
            "X-RateLimit-Remaining-Tokens": "149984",
            "X-RateLimit-Reset-Tokens": "6m0s",
        }
    if kind == "spentat":
        until = datetime.fromtimestamp(time.time() + wait_s, UTC)
        return {
            "Anthropic-RateLimit-Tokens-Remaining": "0",
            "Anthropic-RateLimit-Tokens-Reset": f"{until:%Y-%m-%dT%H:%M:%S.%fZ}",
        }
    return {}


@cache
def _gzip_bomb() -> bytes:
    """A gzip without its trailer: one MiB that does not refer to earlier data, 1024 times."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    mebibyte = b" " * 2**20
    start = deflate.compress(mebibyte) + deflate.flush(zlib.Z_FULL_FLUSH)
    repeated = deflate.compress(mebibyte) + deflate.flush(zlib.Z_FULL_FLUSH)
    return start + repeated * 1023
