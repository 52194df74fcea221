"""The smallest caller of a gateway: one request on a connection of its own, read to its real end.

Invariant: a response that ends before its framing says so is marked broken, never completed.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from turnout.testing.outcomes import PATHS, Dialect, Response


async def ask(
    port: int,
    dialect: Dialect,
    body: Mapping[str, Any],
    *,
    headers: Mapping[str, str] | None = None,
    leave_after_s: float | None = None,
    timeout_s: float = 60.0,
) -> Response:
    """What came back; status 0 where nothing did. With ``leave_after_s`` it hangs up by then."""
    stream = bool(body.get("stream"))
    response = Response(dialect=dialect, stream=stream, status=0, broken=True)
    try:
        async with asyncio.timeout(timeout_s if leave_after_s is None else leave_after_s):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**24)
            try:
                writer.write(_request(PATHS[dialect], body, headers or {}))
                await writer.drain()
                response = await _response(reader, dialect, stream=stream)
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError):
        pass  # told by status 0 and ``broken``
    return response


def body_of(dialect: Dialect, model: str, text: str, *, stream: bool = False) -> dict[str, Any]:
    """A plain request of the dialect."""
    if dialect == "responses":
        return {"model": model, "input": text, "stream": stream}
    messages = [{"role": "user", "content": text}]
    cap = {"max_tokens": 200} if dialect == "messages" else {}
    return {"model": model, "messages": messages, "stream": stream, **cap}


def _request(path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> bytes:
    data = json.dumps(body).encode()
    lines = {"Host": "localhost", "Content-Type": "application/json", "Connection": "close"}
    lines |= {"Content-Length": str(len(data)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + data


async def _response(reader: asyncio.StreamReader, dialect: Dialect, *, stream: bool) -> Response:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return Response(dialect=dialect, stream=stream, status=0, broken=True)
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = bytearray()
    try:
        if headers.get("transfer-encoding") == "chunked":
            await _read_chunks(reader, body)
        else:
            body += await reader.readexactly(int(headers.get("content-length", "0")))
        broken = False
    except (asyncio.IncompleteReadError, OSError):
        broken = True
    status = int(first.split(" ")[1])
    return Response(
        dialect=dialect,
        stream=stream,
        status=status,
        headers=headers,
        body=bytes(body),
        broken=broken,
    )


async def _read_chunks(reader: asyncio.StreamReader, body: bytearray) -> None:
    while True:
        size = int((await reader.readuntil(b"\r\n")).strip() or b"0", 16)
        body += (await reader.readexactly(size + 2))[:size]
        if size == 0:
            return
