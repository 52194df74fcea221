"""A request's body, read strictly.

Invariant: no more than ``max_bytes`` are ever held, whatever headers and compression claim.
This module does not know dialects.
"""

import asyncio
from typing import Any

from turnout.gateway.compression import Damaged, TooMuch, UnknownCoding, decompressed
from turnout.gateway.exchange import Exchange, Malformed, TooLarge, TooLate
from turnout.gateway.problem import Problem, bad_request
from turnout.gateway.strict_json import NotStrictJson, loads
from turnout.runtime import is_long

# Of a body, for each byte of a compressed one: seldom more.
_BYTES_PER_COMPRESSED = 100


class Refused(Exception):
    """The request is refused before it reaches the engine."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


async def read_json(exchange: Exchange, *, max_bytes: int, deadline_s: float) -> tuple[Any, int]:
    """The body's JSON value, and its size in bytes. Raises Refused, or Gone if the caller left."""
    headers = exchange.headers
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > max_bytes:
        raise Refused(_too_large(max_bytes))
    try:
        data = await exchange.body()
        coding = headers.get(b"content-encoding")
        size = len(data) * (_BYTES_PER_COMPRESSED if coding else 1)
        if is_long(size):
            return await asyncio.to_thread(_read, data, coding, max_bytes)
        return _read(data, coding, max_bytes)
    except (TooLarge, TooMuch) as error:
        raise Refused(_too_large(max_bytes)) from error
    except TooLate as error:
        message = f"the body did not arrive within {deadline_s:g} s"
        raise Refused(bad_request(message, status=408, code="request_timeout")) from error
    except Malformed as error:
        message = "the body's transfer coding is broken, or its trailers are too long"
        raise Refused(bad_request(message)) from error
    except NotStrictJson as error:
        raise Refused(bad_request(str(error), code="invalid_json")) from error
    except Damaged as error:
        raise Refused(bad_request(str(error), code="invalid_encoding")) from error
    except UnknownCoding as error:
        problem = bad_request(str(error), status=415, code="unsupported_encoding")
        raise Refused(problem) from error


def _read(data: bytes, coding: bytes | None, max_bytes: int) -> tuple[Any, int]:
    if coding:
        data = decompressed(data, coding, max_bytes)
    return loads(data), len(data)


def _too_large(max_bytes: int) -> Problem:
    message = f"the body is larger than {max_bytes:,} bytes; send less"
    return bad_request(message, status=413, code="body_too_large")
