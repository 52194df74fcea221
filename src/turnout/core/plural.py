"""How many there are of something, in words for people. This module does not know of what."""


def many(count: int, noun: str) -> str:
    """``1 prompt``, ``2,000 prompts``: for nouns whose plural ends in a plain s."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
