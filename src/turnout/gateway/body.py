"""A request's body, read strictly.

Invariant: no more than ``max_bytes`` are ever held, whatever headers and compression claim.
This module does not know dialects.
"""

import asyncio
from typing import Any

from turnout.gateway.arrival import Arrival
from turnout.gateway.compression import Damaged, TooMuch, UnknownCoding, decompressed
from turnout.gateway.exchange import Malformed, TooLarge, TooLate
from turnout.gateway.problem import Problem, bad_request
from turnout.gateway.strict_json import NotStrictJson, loads
from turnout.runtime import is_long

# Of a body, for each byte of a compressed one: seldom more.
_BYTES_PER_COMPRESSED = 100
_REFUSED = (TooLarge, TooMuch, TooLate, Malformed, UnknownCoding, NotStrictJson, Damaged)


class Refused(Exception):
    """The request is refused before it reaches the engine."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


async def read_json(arrival: Arrival, *, max_bytes: int, deadline_s: float) -> object:
    """The body's JSON value, which the arrival keeps, with the model that its address names.

    Raises Refused, or Gone if the caller left.
    """
    if arrival.payload is not None:
        return arrival.payload
    exchange, headers = arrival.exchange, arrival.headers
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > max_bytes:
        raise Refused(_too_large(max_bytes))
    try:
        if not exchange.complete:
            await exchange.arrived()
        data = exchange.taken_body()
        coding = headers.get(b"content-encoding")
        size = len(data) * (_BYTES_PER_COMPRESSED if coding else 1)
        if is_long(size):
            payload, size = await asyncio.to_thread(_read, data, coding, max_bytes)
        else:
            payload, size = _read(data, coding, max_bytes)
    except _REFUSED as error:
        raise Refused(_problem_of(error, max_bytes, deadline_s)) from error
    arrival.payload, arrival.body_bytes = payload, size
    if arrival.model is not None and isinstance(payload, dict):
        payload["model"] = arrival.model
    return payload


def _read(data: bytes, coding: bytes | None, max_bytes: int) -> tuple[Any, int]:
    if coding:
        data = decompressed(data, coding, max_bytes)
    return loads(data), len(data)


def _problem_of(error: Exception, max_bytes: int, deadline_s: float) -> Problem:
    if isinstance(error, TooLarge | TooMuch):
        return _too_large(max_bytes)
    if isinstance(error, TooLate):
        message = f"the body did not arrive within {deadline_s:g} s"
        return bad_request(message, status=408, code="request_timeout")
    if isinstance(error, Malformed):
        return bad_request("the body's transfer coding is broken, or its trailers are too long")
    if isinstance(error, UnknownCoding):
        return bad_request(str(error), status=415, code="unsupported_encoding")
    code = "invalid_json" if isinstance(error, NotStrictJson) else "invalid_encoding"
    return bad_request(str(error), code=code)


def _too_large(max_bytes: int) -> Problem:
    message = f"the body is larger than {max_bytes:,} bytes; send less"
    return bad_request(message, status=413, code="body_too_large")
