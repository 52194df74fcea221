"""A request's body, received within a size and a deadline, and read strictly.

Invariant: no more than ``max_bytes`` and one message are ever held, whatever the headers claim.
This module does not know dialects.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from turnout.gateway.problem import Problem, bad_request
from turnout.gateway.strict_json import NotStrictJson, loads

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Refused(Exception):
    """The request is refused before it is read as one."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Gone(Exception):
    """The caller has left."""


async def read_json(
    receive: Receive, headers: Mapping[bytes, bytes], *, max_bytes: int, deadline_s: float
) -> Any:
    """The body's JSON value. Raises Refused, and Gone when the caller leaves."""
    if headers.get(b"content-encoding", b"identity") != b"identity":
        raise Refused(bad_request("compressed bodies are not taken; send the JSON as it is"))
    if _claimed(headers) > max_bytes:
        raise Refused(_too_large(max_bytes))
    try:
        async with asyncio.timeout(deadline_s):
            data = await _receive(receive, max_bytes)
    except TimeoutError as error:
        message = f"the body did not arrive within {deadline_s:g} s"
        raise Refused(bad_request(message, status=408, code="request_timeout")) from error
    try:
        return loads(data)
    except NotStrictJson as error:
        raise Refused(bad_request(str(error), code="invalid_json")) from error


async def _receive(receive: Receive, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part = message.get("body", b"")
        size += len(part)
        if size > max_bytes:
            raise Refused(_too_large(max_bytes))
        parts.append(part)
        more = message.get("more_body", False)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _claimed(headers: Mapping[bytes, bytes]) -> int:
    """The length that the headers state; the HTTP parser has refused what is no number."""
    length = headers.get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


def _too_large(max_bytes: int) -> Problem:
    message = f"the body is larger than {max_bytes:,} bytes; send less"
    return bad_request(message, status=413, code="body_too_large")
