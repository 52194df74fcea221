"""Reads one token count out of a payload, or says that it cannot be right.

This module does not know which provider the payload is from.
"""

from collections.abc import Mapping
from typing import Any

_MOST_TOKENS = 10**9


class WrongCount(Exception):
    """A count that cannot be right."""


def required(payload: Mapping[str, Any], name: str) -> int:
    """The count called ``name``. Raises WrongCount where there is none."""
    return checked(payload.get(name))


def count(payload: Mapping[str, Any], name: str) -> int | None:
    """The count called ``name``, None where it is absent. Raises WrongCount for what is none."""
    value = payload.get(name)
    return None if value is None else checked(value)


def inner_count(payload: Mapping[str, Any], field: str, name: str) -> int:
    """The count in an object of its own, 0 where there is none. Raises WrongCount."""
    inner = payload.get(field)
    return count(inner, name) or 0 if isinstance(inner, Mapping) else 0


def checked(value: object) -> int:
    """The value, which is a count. Raises WrongCount."""
    # A truth value is an int, too, but none of this type.
    if type(value) is not int or not 0 <= value <= _MOST_TOKENS:
        raise WrongCount
    return value
