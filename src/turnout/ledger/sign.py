"""What the owner of a ledger file says beside it: who it is, and where it takes others' entries.

Invariant: it is in the lock's own file, which only its user can read; whoever has the lock writes
it. This module does not know locks or databases.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache

import orjson

from turnout.core import ConfigError
from turnout.ledger.store import Owned

_MOST_BYTES = 4096


@cache
def own_version() -> str:
    """The version of this program."""
    from importlib.metadata import version

    return version("turnout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """``address`` is where the owner listens, ``guests`` whether others write through it.

    ``secret`` is hexadecimal. Owners of another version speak otherwise.
    """

    pid: int = field(default_factory=os.getpid)
    version: str = field(default_factory=own_version)
    address: str = ""
    secret: str = field(default="", repr=False)
    guests: bool = False

    @classmethod
    def read(cls, file: int) -> "Sign":
        """What the file says; one that says nothing of this kind is nobody's."""
        found: Mapping[str, object] = {}
        with suppress(OSError, ValueError):
            found = orjson.loads(os.pread(file, _MOST_BYTES, 0))
        try:
            return cls(**found)  # type: ignore[arg-type]
        except TypeError:
            return cls(pid=0)

    def write(self, file: int) -> None:
        """Says so in the file, as far as the disk takes it."""
        with suppress(OSError):
            os.pwrite(file, orjson.dumps(self).ljust(_MOST_BYTES), 0)

    def refusal(self, where: str) -> ConfigError:
        """Why ``where`` cannot be opened; Owned, where its owner can be asked."""
        holder = f"pid {self.pid}" if self.pid else "unknown"
        if self.version != own_version():
            holder += f", Turnout {self.version}"
        said = (
            f"{where} is being written by another process ({holder}); end it, name another file "
            "with ledger:, or share one ledger: postgresql://…"
        )
        if self.address and self.version == own_version():
            return Owned(said, self.address, bytes.fromhex(self.secret))
        return ConfigError(said)
