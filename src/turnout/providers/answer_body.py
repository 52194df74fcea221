"""A whole answer's body, read alike in every wire family.

Invariant: a body that is no answer is a fault, and no secret stands in it.
This module does not know what an answer looks like.
"""

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from turnout.core import Chunk, Fault
from turnout.providers.errors import classify, error_in, read_error
from turnout.providers.fields import Malformed
from turnout.providers.scrub import scrub


def read_answer(body: bytes, read: Callable[[Any], Chunk], secrets: Iterable[str]) -> Chunk | Fault:
    """What ``read`` makes of the decoded body, or the fault of one that is an error or no answer.

    ``read`` may raise Malformed.
    """
    try:
        payload = orjson.loads(body)
        error = error_in(payload)
        if error is not None:
            return classify(None, error, secrets=secrets)
        return read(payload)
    except orjson.JSONDecodeError:
        excerpt = scrub(read_error(body).message, secrets) or "nothing"
        return bad_answer(f"the answer is not JSON: {excerpt}")
    except Malformed as problem:
        return bad_answer(f"the answer is malformed: {problem}")


def bad_answer(detail: str) -> Fault:
    """The fault of an answer that cannot be used."""
    return Fault(kind="bad_response", detail=detail, retry="transient")
