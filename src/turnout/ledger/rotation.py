"""A key's new secret beside its old one, and its new name; everything else stays.

Invariant: a key has at most two secrets, and the older one ends at a set time. This module does
not know who may rotate.
"""

from turnout.core import InvalidRequest
from turnout.ledger.entries import Change
from turnout.ledger.keys import Key, check_name, new_secret

USUAL_OVERLAP_S = 86_400
MOST_OVERLAP_S = 30 * 86_400

# SQLite numbers parameters by their first place in the text, so that they must be in order.
ROTATE_KEY = "UPDATE keys SET old_hash = hash, old_until_ms = $1, hash = $2 WHERE id = $3"
RENAME_KEY = "UPDATE keys SET name = $1 WHERE id = $2"


def key_rotation(key: Key, overlap_s: float, now_ms: int) -> tuple[str, Change]:
    """A new secret, which is stored nowhere, and the entry that replaces the old one by it.

    The old one is valid for ``overlap_s`` more seconds, and one before it no longer. Raises
    InvalidRequest, also for a key that is no longer valid.
    """
    if not 0 <= overlap_s <= MOST_OVERLAP_S:
        raise InvalidRequest(
            f"overlap is {overlap_s:g} s; use 0 to {MOST_OVERLAP_S:,} s (30 days)",
            field="overlap_s",
        )
    ended = key.revoked_ms is not None or (key.expires_ms is not None and key.expires_ms <= now_ms)
    if ended:
        raise InvalidRequest(f"{key.id!r} has ended; make a new key", field="id")
    secret, digest = new_secret()
    return secret, Change(ROTATE_KEY, (now_ms + round(overlap_s * 1000), digest, key.id))


def key_renaming(id_: str, name: str) -> Change:
    """The entry that gives a key another name. Raises InvalidRequest."""
    check_name("name", name)
    return Change(RENAME_KEY, (name, id_))
