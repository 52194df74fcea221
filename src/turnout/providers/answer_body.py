"""Reads a whole answer's body, for all wire families.

Invariant: a body that is not an answer is a fault, and the fault holds no secret, nor a part of an
answer that broke off, since nobody has scanned it.
This module does not know what an answer looks like.
"""

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from turnout.core import Chunk, Fault
from turnout.providers.errors import classify, error_in, read_error
from turnout.providers.fields import MISTYPED, Malformed
from turnout.providers.scrub import scrub


def read_answer(
    body: bytes, read: Callable[[Any], Chunk | Fault], secrets: Iterable[str]
) -> Chunk | Fault:
    """The result of ``read`` for the decoded body, or a fault if that is an error or not an answer.

    ``read`` may raise Malformed, or what a value of the wrong type raises.
    """
    try:
        payload = orjson.loads(body)
        error = error_in(payload)
        if error is not None:
            return classify(None, error, secrets=secrets)
        return read(payload)
    except orjson.JSONDecodeError as problem:
        if begins_as_json(body):
            return bad_answer(f"the answer is broken JSON: {problem}")
        excerpt = scrub(read_error(body).message, secrets) or "nothing"
        return bad_answer(f"the answer is not JSON: {excerpt}")
    except (Malformed, *MISTYPED) as problem:
        return bad_answer(f"the answer is malformed: {problem}")


def begins_as_json(body: bytes) -> bool:
    """Whether this may be an answer, or a part of one, in JSON."""
    return body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"["))


def bad_answer(detail: str) -> Fault:
    """The fault of an answer that cannot be used."""
    return Fault(kind="bad_response", detail=detail, retry="transient")


def interrupted(detail: str) -> Fault:
    """The fault of an answer that broke off."""
    return Fault(kind="interrupted", detail=detail, retry="transient")
