"""Reads one token count from a payload, or raises if it is impossible.

This module does not know which provider the payload is from.
"""

from collections.abc import Mapping
from typing import Any

_MOST_TOKENS = 10**9


class WrongCount(Exception):
    """A count that is impossible."""


def required(payload: Mapping[str, Any], name: str) -> int:
    """The count called ``name``. Raises WrongCount if it is absent or impossible."""
    return checked(payload.get(name))


def count(payload: Mapping[str, Any], name: str) -> int | None:
    """The count called ``name``; None if it is absent. Raises WrongCount if it is impossible."""
    value = payload.get(name)
    return None if value is None else checked(value)


def inner_count(payload: Mapping[str, Any], field: str, name: str) -> int:
    """The count called ``name`` in the object ``field``; 0 if it is absent. Raises WrongCount."""
    inner = payload.get(field)
    return count(inner, name) or 0 if isinstance(inner, dict) else 0


def checked(value: object) -> int:
    """The value, if it is a possible count. Raises WrongCount."""
    # isinstance would accept True and False.
    if type(value) is not int or not 0 <= value <= _MOST_TOKENS:
        raise WrongCount
    return value
