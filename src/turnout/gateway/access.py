"""Who may call: keys looked up by their hash, and browsers of other origins kept out.

Invariant: a path is open only if it is listed here; without any key only this machine may call.
A key that is unknown and one that is wrong take the same way. This module does not know what the
paths do.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Protocol

from turnout.core import STORED_PREFIX, Caller
from turnout.core.caller import hashed
from turnout.core.hosts import LOOPBACK
from turnout.gateway.cors import Origins
from turnout.gateway.problem import Problem, bad_request

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json"})
ADMIN_PATHS = ("/v1/keys", "/v1/keys/", "/v1/budgets/")
_BUDGETS = "/v1/budgets"
METRICS = "/metrics"  # an administrator's, too, where there are keys

ANYONE = Caller(key="local", keys=("local",))


class StoredKeys(Protocol):
    """Keys that may change while the gateway runs."""

    @property
    def has_keys(self) -> bool:
        """Whether there ever was one."""
        ...

    def caller(self, digest: bytes) -> Caller | None:
        """Whose key has this SHA-256."""
        ...


class Access:
    """Checks a request's key. ``keys`` may call models, ``admin`` may see everything too.

    Without any key every caller passes whose Host is this machine, but for an administrator's
    paths, and nobody where the socket is not ``local``. Pages of ``origins`` may call.
    """

    def __init__(self, keys: Iterable[str] = (), admin: str | None = None) -> None:
        self._callers: dict[bytes, Caller] = {}
        for key in keys:
            digest = hashed(key)
            # Named by its hash, so that it stays the same caller when others are added.
            id_ = f"static-{digest.hex()[:8]}"
            self._callers[digest] = Caller(key=id_, name=id_, keys=(id_,))
        self._keyless = not self._callers
        if admin:
            self._callers[hashed(admin)] = Caller(key="admin", keys=("admin",), admin=True)
        self.origins = Origins()
        self.local = True

    @property
    def keyless(self) -> bool:
        """Whether callers need no key, as far as is known here."""
        return self._keyless

    def caller(
        self, method: str, path: str, headers: Mapping[bytes, bytes], stored: StoredKeys
    ) -> Caller | Problem:
        """Who calls, or why this request may not be served. Raises LedgerError."""
        if path in OPEN_PATHS:
            return ANYONE
        host = _host(headers.get(b"host", b""))
        if b"origin" in headers and not self._same_origin(headers, host):
            return bad_request(
                "calls from pages of other origins are not taken", status=403, code="origin"
            )
        admins = path.startswith(ADMIN_PATHS) or (path == _BUDGETS and method != "GET")
        keyless = self._keyless and self.local and not stored.has_keys
        if keyless and not admins and not _made(headers):
            if host not in LOOPBACK:
                return _ELSEWHERE
            # Who looks after the budgets sees all of them here, too.
            admin = path == _BUDGETS and self._callers.get(hashed(given_key(headers)))
            return admin or ANYONE
        return self._keyed(headers, stored, admins=admins or path == METRICS)

    def _same_origin(self, headers: Mapping[bytes, bytes], host: str) -> bool:
        own = _host(headers[b"origin"].rpartition(b"/")[2]) == host
        return own or self.origins.allows(headers)

    def _keyed(
        self, headers: Mapping[bytes, bytes], stored: StoredKeys, *, admins: bool
    ) -> Caller | Problem:
        digest = hashed(given_key(headers))
        found = self._callers.get(digest) or stored.caller(digest)
        if found is None:
            message = "send a valid key as 'Authorization: Bearer KEY', 'x-api-key' or 'api-key'"
            return bad_request(message, status=401, code="invalid_api_key")
        if admins and not found.admin:
            return bad_request("this takes an administrator's key", status=403, code="admin_only")
        return found


def given_key(headers: Mapping[bytes, bytes]) -> str:
    """The key that a request gives, whether or not it is one."""
    bearer = headers.get(b"authorization", b"")
    if bearer[:7].lower() == b"bearer ":
        key = bearer[7:]
    else:
        key = headers.get(b"x-api-key") or headers.get(b"api-key", b"")
    return key.strip().decode("latin-1")


def _made(headers: Mapping[bytes, bytes]) -> bool:
    """Whether the key given is one that a gateway made: here it may not be known yet."""
    return given_key(headers).startswith(STORED_PREFIX)


@lru_cache(maxsize=256)
def _host(value: bytes) -> str:
    """The host of ``host``, ``host:port`` or ``[v6]:port``."""
    text = value.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


_ELSEWHERE = bad_request(
    "without keys only http://localhost and 127.0.0.1 serve", status=403, code="host"
)
