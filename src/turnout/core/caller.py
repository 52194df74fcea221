"""Who is calling: what a key stands for, without the key.

Invariant: a key has no more rights than its parent, and is compared by its hash alone, so that the
time this takes reveals nothing about it. This module does not know storage.
"""

import hashlib
from dataclasses import dataclass

# The beginning of keys that a gateway has made, whose hashes are in its ledger.
STORED_PREFIX = "tnk_"


def key_hash(key: str) -> bytes:
    """What a key is looked up by; with 256 random bits in a key, a plain hash reveals nothing."""
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A key's id and rights.

    ``models`` are the ids or names of the models that it may use, None for all. ``keys`` are the
    key and its ancestors, whose budgets it uses as well, and ``names`` are what these are called.
    Data of one ``tenant`` is never shown to another.
    """

    key: str
    names: tuple[str, ...] = ()
    team: str | None = None
    keys: tuple[str, ...] = ()
    models: frozenset[str] | None = None
    admin: bool = False
    expires_ms: int | None = None

    @property
    def tenant(self) -> str:
        """The team, else the key itself."""
        return f"team:{self.team}" if self.team else f"key:{self.key}"
