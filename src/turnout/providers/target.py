"""Where a URL leads: what to connect to, and what to ask for there. Pure."""

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

Place = tuple[str, int, bool]


class NotAnAddress(Exception):
    """The URL cannot be called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a URL leads: ``host`` and ``port`` to connect to, ``path`` with its query to ask for.

    ``name`` is host and port for people, ``authority`` what the Host header says. Connections are
    shared by ``place``.
    """

    host: str
    port: int
    tls: bool
    path: str
    authority: str
    name: str
    place: Place


@lru_cache(maxsize=1024)
def target_of(url: str) -> Target:
    """The target of an http(s) URL. Raises NotAnAddress."""
    try:
        parts = urlsplit(url)
        host, tls = parts.hostname, parts.scheme == "https"
        port = parts.port or (443 if tls else 80)
        ascii_host = (host or "").encode("idna" if host and not host.isascii() else "ascii")
    except (ValueError, UnicodeError) as error:
        raise NotAnAddress(str(error)) from error
    if parts.scheme not in ("http", "https") or not host:
        raise NotAnAddress(f"{url[:100]!r} has no host or is not http(s)")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if any(not "!" <= letter <= "~" for letter in path):
        raise NotAnAddress("its path has characters that must be percent-encoded")
    bracketed = f"[{host}]" if ":" in host else ascii_host.decode()
    default = parts.port is None or parts.port == (443 if tls else 80)
    name = host if ":" in host else ascii_host.decode()
    return Target(
        host=name,
        port=port,
        tls=tls,
        path=path,
        authority=bracketed if default else f"{bracketed}:{port}",
        name=f"{host}:{port}",
        place=(name, port, tls),
    )
