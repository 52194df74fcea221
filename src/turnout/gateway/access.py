"""Who may call: keys are looked up by their hash, and pages of other origins are kept out.

Invariant: a path needs no key only if it is listed here; without any keys only this machine may
call. This module does not know what the paths do.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Protocol

from turnout.core import STORED_PREFIX, Caller
from turnout.core.caller import key_hash
from turnout.core.hosts import LOOPBACK
from turnout.gateway.cors import Origins
from turnout.gateway.problem import Problem, bad_request

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json"})
ADMIN_PATHS = ("/v1/keys", "/v1/keys/", "/v1/budgets/")
_BUDGETS = "/v1/budgets"
METRICS = "/metrics"  # an administrator's, too, where there are keys

ANYONE = Caller(key="local", keys=("local",))


class StoredKeys(Protocol):
    """Stored keys, which may change while the gateway runs."""

    @property
    def has_keys(self) -> bool:
        """Whether a key was ever made."""
        ...

    def caller(self, digest: bytes) -> Caller | None:
        """The caller whose key has this SHA-256; None if no key has."""
        ...


class Access:
    """Checks a request's key. ``keys`` may call models, the ``admin`` token opens all paths.

    Without any keys, callers whose Host header names this machine may use all paths but the
    administrator's; if the socket is not ``local``, nobody may. Pages of ``origins`` may call.
    """

    def __init__(self, keys: Iterable[str] = (), admin: str | None = None) -> None:
        self._callers: dict[bytes, Caller] = {}
        for key in keys:
            digest = key_hash(key)
            # Named by its hash, so that a key stays the same caller when others are added.
            id_ = f"static-{digest.hex()[:8]}"
            self._callers[digest] = Caller(key=id_, names=(id_,), keys=(id_,))
        self._keyless = not self._callers
        self._had_keys = False
        if admin:
            self._callers[key_hash(admin)] = Caller(key="admin", keys=("admin",), admin=True)
        self.origins = Origins()
        self.local = True

    @property
    def keyless(self) -> bool:
        """Whether callers need no key, stored keys aside."""
        return self._keyless

    def caller(
        self, method: str, path: str, headers: Mapping[bytes, bytes], stored: StoredKeys
    ) -> Caller | Problem:
        """The caller, or why this request may not be served. Raises LedgerError."""
        if path in OPEN_PATHS:
            return ANYONE
        host = _host(headers.get(b"host", b""))
        if b"origin" in headers and not self._same_origin(headers, host):
            return bad_request(
                "web pages of other origins may not call this gateway", status=403, code="origin"
            )
        needs_admin = path.startswith(ADMIN_PATHS) or (path == _BUDGETS and method != "GET")
        # A reload may bring a ledger in which no key was ever made: the door stays closed.
        self._had_keys = self._had_keys or stored.has_keys
        keyless = self._keyless and self.local and not self._had_keys
        if keyless and not needs_admin and not _is_turnout_key(headers):
            if host not in LOOPBACK:
                return _NOT_LOCAL
            # An administrator sees all budgets here.
            admin = path == _BUDGETS and self._callers.get(key_hash(given_key(headers)))
            return admin or ANYONE
        return self._caller_with_key(headers, stored, needs_admin=needs_admin or path == METRICS)

    def _same_origin(self, headers: Mapping[bytes, bytes], host: str) -> bool:
        is_own = _host(headers[b"origin"].rpartition(b"/")[2]) == host
        return is_own or self.origins.allows(headers)

    def _caller_with_key(
        self, headers: Mapping[bytes, bytes], stored: StoredKeys, *, needs_admin: bool
    ) -> Caller | Problem:
        digest = key_hash(given_key(headers))
        found = self._callers.get(digest) or stored.caller(digest)
        if found is None:
            message = "send a valid key as 'Authorization: Bearer KEY', 'x-api-key' or 'api-key'"
            return bad_request(message, status=401, code="invalid_api_key")
        if needs_admin and not found.admin:
            return bad_request("this needs an administrator's key", status=403, code="admin_only")
        return found


def given_key(headers: Mapping[bytes, bytes]) -> str:
    """The key that a request gives, valid or not."""
    bearer = headers.get(b"authorization")
    if bearer is not None and bearer[:7].lower() == b"bearer ":
        key = bearer[7:]
    else:
        key = headers.get(b"x-api-key") or headers.get(b"api-key", b"")
    return key.strip().decode("latin-1")


def _is_turnout_key(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a gateway has made the given key, which may not be known here yet."""
    return given_key(headers).startswith(STORED_PREFIX)


@lru_cache(maxsize=256)
def _host(value: bytes) -> str:
    """The host of ``host``, ``host:port`` or ``[v6]:port``."""
    text = value.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


_NOT_LOCAL = bad_request(
    "without keys the gateway answers only on http://localhost and http://127.0.0.1",
    status=403,
    code="host",
)
