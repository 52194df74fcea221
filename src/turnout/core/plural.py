"""Counts and lists in words for people."""

from collections.abc import Sequence


def many(count: int, noun: str) -> str:
    """``1 prompt`` or ``2,000 prompts``, for nouns whose plural only adds an s."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def some_of(names: Sequence[str]) -> str:
    """The first three names, and ``…`` if there are more."""
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")
