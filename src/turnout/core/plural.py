"""Counts in words for people."""


def many(count: int, noun: str) -> str:
    """``1 prompt`` or ``2,000 prompts``, for nouns whose plural only adds an s."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
