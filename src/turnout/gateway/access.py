"""Who may call: keys compared by hash, and browsers of other origins kept out.

Invariant: a path is open only if it is listed here; without any key only this machine may call.
This module does not know what the paths do.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping

from turnout.gateway.cors import Origins
from turnout.gateway.problem import Problem

OPEN_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json"})
ADMIN_PATHS = frozenset({"/metrics"})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Access:
    """Checks a request's key. ``keys`` may call models, ``admin`` may see everything too.

    Without keys every caller passes whose Host is this machine. Pages of ``origins`` may call.
    """

    def __init__(self, keys: Iterable[str] = (), admin: str | None = None) -> None:
        self._keys = [_hash(key) for key in keys]
        self._admin = _hash(admin) if admin else None
        self.origins = Origins()

    @property
    def keyless(self) -> bool:
        """Whether callers need no key."""
        return not self._keys

    def refusal(self, path: str, headers: Mapping[bytes, bytes]) -> Problem | None:
        """Why this request may not be served, or None."""
        if path in OPEN_PATHS:
            return None
        host = _host(headers.get(b"host", b""))
        if b"origin" in headers and not self._same_origin(headers, host):
            return _denied(403, "calls from pages of other origins are not taken", "origin")
        if not self.keyless:
            return self._key_refusal(path, headers)
        if host in _LOOPBACK:
            return None
        return _denied(403, "without keys only http://localhost and 127.0.0.1 serve", "host")

    def _same_origin(self, headers: Mapping[bytes, bytes], host: str) -> bool:
        own = _host(headers[b"origin"].rpartition(b"/")[2]) == host
        return own or self.origins.allows(headers)

    def _key_refusal(self, path: str, headers: Mapping[bytes, bytes]) -> Problem | None:
        given = _hash(_given(headers))
        if self._admin is not None and hmac.compare_digest(given, self._admin):
            return None
        known = [hmac.compare_digest(given, key) for key in self._keys]
        if any(known) and path not in ADMIN_PATHS:
            return None
        return _denied(
            401, "send a valid key as 'Authorization: Bearer KEY' or 'x-api-key'", "invalid_api_key"
        )


def _given(headers: Mapping[bytes, bytes]) -> str:
    bearer = headers.get(b"authorization", b"")
    key = bearer[7:] if bearer[:7].lower() == b"bearer " else headers.get(b"x-api-key", b"")
    return key.strip().decode("latin-1")


def _host(value: bytes) -> str:
    """The host of ``host``, ``host:port`` or ``[v6]:port``."""
    text = value.decode("latin-1").strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0]


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


def _denied(status: int, message: str, code: str) -> Problem:
    kind = "authentication_error" if status == 401 else "permission_error"
    return Problem(status=status, type=kind, code=code, message=message)
