"""Fields of a provider's event or answer, each of the type that it must have.

Invariant: what has the wrong type raises Malformed, so that nothing is half read.
This module does not know which provider it is.
"""

from typing import Any

# What reading a value of another type than expected raises.
MISTYPED = (AttributeError, LookupError, TypeError)


class Malformed(Exception):
    """The payload is no answer; the message says what is wrong with it."""


def an_object(value: object) -> dict[str, Any]:
    """The value, which is an object."""
    if not isinstance(value, dict):
        raise Malformed("an object is missing")
    return value


def an_index(value: object) -> int:
    """The value, which counts from 0."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Malformed("an index is not a whole number")
    return value


def a_text(value: object) -> str:
    """The value, which is text."""
    if not isinstance(value, str):
        raise Malformed("a text field is not text")
    return value


def text_or_none(value: object) -> str | None:
    """The value, which is text or nothing."""
    return None if value is None else a_text(value)


def any_text(value: object) -> str:
    """The value, which is text; empty for nothing."""
    return text_or_none(value) or ""
