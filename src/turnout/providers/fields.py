"""Checks the types of fields in a provider's event or answer.

Invariant: a value of the wrong type raises Malformed, so that no answer is read in part.
This module does not know which provider it is.
"""

from typing import Any

# Raised when a value is read that has the wrong type.
MISTYPED = (AttributeError, LookupError, TypeError)


class Malformed(Exception):
    """The payload is not an answer; the message says what is wrong with it."""


def an_object(value: object, what: str = "a field") -> dict[str, Any]:
    """The value, which must be an object; ``what`` names it in the error."""
    if not isinstance(value, dict):
        raise Malformed(f"{what} is not an object")
    return value


def an_index(value: object) -> int:
    """The value, which must be a whole number of at least 0."""
    # isinstance would accept True and False.
    if type(value) is not int or value < 0:
        raise Malformed("an index is not a whole number")
    return value


def a_text(value: object) -> str:
    """The value, which must be text."""
    if not isinstance(value, str):
        raise Malformed("a field is not text")
    return value


def any_text(value: object, what: str = "a field") -> str:
    """The value, which must be text or None; empty for None."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Malformed(f"{what} is not text")
    return value
