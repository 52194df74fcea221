"""A canned provider: the same answer for every request, as fast as one process can give it.

``python -m benchmarks.gateway.upstream`` prints its port and serves until it is ended. A streamed
answer is sent at once, or, for a model whose name ends in ``paced``, one event every 10 ms, each
with its time (seconds on the machine's monotonic clock) as its text.
"""

import asyncio
import json
import time

EVENTS = 50
PACE_S = 0.01
_BASE = {"id": "c", "created": 1, "model": "m/fast"}
_USAGE = {"prompt_tokens": 40, "completion_tokens": EVENTS, "total_tokens": 40 + EVENTS}
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def _whole() -> bytes:
    message = {"role": "assistant", "content": " signal lever points rails" * 12}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {**_BASE, "object": "chat.completion", "choices": [choice], "usage": _USAGE}
    text = json.dumps(body).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(text) + text


def _event(**fields: object) -> bytes:
    text = json.dumps({**_BASE, "object": "chat.completion.chunk", **fields}, separators=(",", ":"))
    return _piece(b"data: %b\n\n" % text.encode())


def _piece(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _word(text: str) -> bytes:
    return _event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": None}])


_END = (
    _event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
    + _event(choices=[], usage=_USAGE)
    + _piece(b"data: [DONE]\n\n")
    + b"0\r\n\r\n"
)
WHOLE = _whole()
BURST = _STREAM_HEAD + _word(" word") * EVENTS + _END


class Canned(asyncio.Protocol):
    """One connection; requests may be pipelined."""

    def __init__(self) -> None:
        self._seen = self._begun = b""
        self._missing = 0
        self._pacing: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends a paced answer."""
        del exc
        if self._pacing is not None:
            self._pacing.cancel()

    def data_received(self, data: bytes) -> None:
        """Answers each whole request; for a body in several pieces only the ends are read."""
        if self._missing > len(data):
            self._missing -= len(data)
            return
        if self._missing:
            self._answer(self._begun + data[: self._missing])
            data, self._missing = data[self._missing :], 0
        self._seen += data
        while True:
            head, found, rest = self._seen.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
            if not found:
                return
            if len(rest) < length:
                self._seen, self._begun, self._missing = b"", rest, length - len(rest)
                return
            self._answer(rest[:length])
            self._seen = rest[length:]

    def _answer(self, body: bytes) -> None:
        if b'"stream":true' not in body and b'"stream": true' not in body:
            self._transport.write(WHOLE)
        elif b'paced"' in body:
            self._pacing = asyncio.get_running_loop().create_task(self._paced())
        else:
            self._transport.write(BURST)

    async def _paced(self) -> None:
        self._transport.write(_STREAM_HEAD + _word(f" {time.monotonic():.6f}"))
        due = time.monotonic()
        for _ in range(EVENTS - 1):
            due += PACE_S
            await asyncio.sleep(due - time.monotonic())
            self._transport.write(_word(f" {time.monotonic():.6f}"))
        self._transport.write(_END)


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve())
