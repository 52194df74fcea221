"""Who is calling: what a key stands for, without the key.

Invariant: rights only shrink from parent to child; a key is compared by its hash alone, so that the
time it takes tells nothing of a key. This module does not know storage.
"""

import hashlib
from dataclasses import dataclass

# What keys begin with that a gateway makes and keeps, hashed, in its ledger.
STORED_PREFIX = "tnk_"


def hashed(key: str) -> bytes:
    """What a key is looked up by: it has 256 random bits, so that a plain hash tells nothing."""
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A key's id and rights. ``models`` are ids or names that it may use, None for all.

    ``keys`` are the key and its ancestors: what it uses counts for all of them. ``tenant`` is what
    must never meet another one: the team, else the key.
    """

    key: str
    name: str = ""
    team: str | None = None
    keys: tuple[str, ...] = ()
    models: frozenset[str] | None = None
    admin: bool = False
    expires_ms: int | None = None

    @property
    def tenant(self) -> str:
        """The team, else the key itself."""
        return f"team:{self.team}" if self.team else f"key:{self.key}"
