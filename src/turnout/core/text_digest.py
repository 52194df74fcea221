"""A short hash of a text, to know it again without keeping it."""

import hashlib


def text_digest(text: str, size: int) -> bytes:
    """``size`` bytes of BLAKE2b, for any text: half an emoji has no UTF-8, but comes in JSON."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest()
