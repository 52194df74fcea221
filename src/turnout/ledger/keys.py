"""Stored keys, and the callers that they stand for.

Invariant: a key is shown once, and stored as the SHA-256 of 256 random bits; a child key may do
only what all of its ancestors may.
"""

import json
import re
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from typing import Any

from turnout.core import STORED_PREFIX, Caller, InvalidRequest
from turnout.core.caller import key_hash
from turnout.ledger.entries import Change
from turnout.ledger.schema import create_budgets
from turnout.ledger.store import Store, fetch_or_empty

INSERT_KEY = "INSERT INTO keys VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, NULL, NULL, NULL)"
# SQLite numbers parameters by their first place in the text, so that $1, $2, ... must be in order.
REVOKE_KEY = "UPDATE keys SET revoked_ms = $1 WHERE id = $2 AND revoked_ms IS NULL"

_LAST_MS = 253_402_300_799_999  # the end of 9999
_NAME = re.compile(r"[\w.:/@+-]{1,64}", re.ASCII)
_COLUMNS = (
    "id, hash, name, team, parent, admin, models, created_ms, expires_ms, revoked_ms, old_hash, "
    "old_until_ms"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as it is stored; ``hash`` is hexadecimal, the secret itself is not stored.

    ``old_hash`` is that of a replaced secret, which works until ``old_until_ms``.
    """

    id: str
    hash: str = field(repr=False)
    name: str
    team: str | None
    parent: str | None
    admin: bool
    models: tuple[str, ...] | None
    created_ms: int
    expires_ms: int | None
    revoked_ms: int | None
    old_hash: str | None = field(default=None, repr=False)
    old_until_ms: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values, without the hash."""
        return {
            "id": self.id,
            "name": self.name,
            "team": self.team,
            "parent": self.parent,
            "admin": self.admin,
            "models": None if self.models is None else list(self.models),
            "created_ms": self.created_ms,
            "expires_ms": self.expires_ms,
            "revoked_ms": self.revoked_ms,
            "old_secret_until_ms": self.old_until_ms,
        }


def new_key(
    *,
    name: str,
    team: str | None = None,
    parent: str | None = None,
    admin: bool = False,
    models: Iterable[str] | None = None,
    expires_ms: int | None = None,
    now_ms: int,
) -> tuple[str, Key]:
    """A new secret, which is stored nowhere, and its key. Raises InvalidRequest."""
    for what, value in (("name", name), ("team", team)):
        if value is not None:
            check_name(what, value)
    if expires_ms is not None and expires_ms <= now_ms:
        raise InvalidRequest(
            "the key's expiry lies in the past; name a later time", field="expires"
        )
    if expires_ms is not None and expires_ms > _LAST_MS:
        raise InvalidRequest(
            "the key's expiry lies beyond the year 9999; leave it out for a key that stays",
            field="expires",
        )
    secret, digest = new_secret()
    stored = Key(
        id="k_" + secrets.token_hex(8),
        hash=digest,
        name=name,
        team=team,
        parent=parent,
        admin=admin,
        models=None if models is None else tuple(models),
        created_ms=now_ms,
        expires_ms=expires_ms,
        revoked_ms=None,
    )
    return secret, stored


def check_name(what: str, value: str) -> None:
    """Raises InvalidRequest for an unusable name of a key or team."""
    if not _NAME.fullmatch(value):
        raise InvalidRequest(
            f"{what} is {value[:70]!r}; use 1 to 64 letters, digits or . : / @ + - _",
            field=what,
        )


def new_secret() -> tuple[str, str]:
    """A new secret, and its hash as it is stored."""
    secret = STORED_PREFIX + secrets.token_urlsafe(32)
    return secret, key_hash(secret).hex()


def key_creation(key: Key) -> Change:
    """The entry that stores a key."""
    models = None if key.models is None else json.dumps(list(key.models))
    return Change(
        INSERT_KEY,
        (key.id, key.hash, key.name, key.team, key.parent, int(key.admin), models, key.created_ms,
         key.expires_ms),
    )  # fmt: skip


def key_revocation(id_: str, now_ms: int) -> Change:
    """The entry that ends a key, and with it its children."""
    return Change(REVOKE_KEY, (now_ms, id_))


def has_keys(store: Store) -> bool:
    """Whether a key was ever made, also in a ledger of an older version."""
    done = {name for (name,) in fetch_or_empty(store, "SELECT name FROM migrations")}
    return create_budgets.__name__ in done and bool(store.fetch("SELECT 1 FROM keys LIMIT 1"))


def stored_keys(store: Store) -> list[Key]:
    """All keys, oldest first."""
    sql = f"SELECT {_COLUMNS} FROM keys ORDER BY created_ms, id"  # noqa: S608 -- a constant
    return [_key(row) for row in fetch_or_empty(store, sql)]


def _key(row: Sequence[Any]) -> Key:
    id_, hash_, name, team, parent, admin, models, created, expires, revoked, old, until = row
    return Key(
        id=id_,
        hash=hash_,
        name=name,
        team=team,
        parent=parent,
        admin=bool(admin),
        models=None if models is None else tuple(json.loads(models)),
        created_ms=created,
        expires_ms=expires,
        revoked_ms=revoked,
        old_hash=old,
        old_until_ms=until,
    )


def callers_of(
    keys: Iterable[Key], deployments: Collection[Collection[str]] = ()
) -> dict[bytes, Caller]:
    """The callers of all valid keys, by the hashes of their current and old secrets.

    ``deployments`` has the names of each one that is configured.
    """
    by_id = {key.id: key for key in keys}
    found: dict[bytes, Caller] = {}
    for key in by_id.values():
        lineage = lineage_of(key, by_id)
        if lineage is not None and all(one.revoked_ms is None for one in lineage):
            caller = found[bytes.fromhex(key.hash)] = _caller(lineage, deployments)
            if key.old_hash is not None and key.old_until_ms is not None:
                ends = min(key.old_until_ms, caller.expires_ms or key.old_until_ms)
                found[bytes.fromhex(key.old_hash)] = replace(caller, expires_ms=ends)
    return found


def lineage_of(key: Key, by_id: Mapping[str, Key]) -> list[Key] | None:
    """The key and its ancestors; None if one of these is missing."""
    lineage = [key]
    while (parent := lineage[-1].parent) is not None:
        ancestor = by_id.get(parent)
        if ancestor is None or ancestor in lineage:
            return None
        lineage.append(ancestor)
    return lineage


def _caller(lineage: Sequence[Key], deployments: Collection[Collection[str]]) -> Caller:
    """The caller of a key, with the rights that every key of its line has."""
    allowed = [frozenset(key.models) for key in lineage if key.models is not None]
    ends = [key.expires_ms for key in lineage if key.expires_ms is not None]
    key = lineage[0]
    return Caller(
        key=key.id,
        names=tuple(one.name for one in lineage),
        team=next((key.team for key in lineage if key.team is not None), None),
        keys=tuple(key.id for key in lineage),
        models=reduce(partial(_shared, deployments), allowed) if allowed else None,
        admin=all(key.admin for key in lineage),
        expires_ms=min(ends) if ends else None,
    )


def _shared(
    deployments: Collection[Collection[str]], one: frozenset[str], other: frozenset[str]
) -> frozenset[str]:
    """The names in either list under which only models are found that the other list has, too.

    A model may be in one by its configured name, in the other by its provider's id.
    """

    def covers(names: frozenset[str], name: str) -> bool:
        meant = [deployment for deployment in deployments if name in deployment]
        return name in names or (bool(meant) and not any(map(names.isdisjoint, meant)))

    kept = [name for name in one if covers(other, name)]
    return frozenset(kept).union(name for name in other if covers(one, name))
