"""Which pages of other origins may call: only those that the configuration lists.

Invariant: an origin is compared whole, scheme and port included; browsers never send credentials on
their own, the page sends a key itself. Source: fetch.spec.whatwg.org, section 3.3 (CORS).
This module does not know what the paths do.
"""

from collections.abc import Iterable, Mapping

from turnout.gateway.exchange import Headers

# Client libraries send headers of their own, and pages read why a model was chosen. The asterisk
# does not include Authorization, which has to be named.
_EXPOSED = b"*"
_ALLOWED_HEADERS = b"authorization, *"
_USUAL_PORTS = {"http": ":80", "https": ":443"}


class Origins:
    """The allowed origins; false if there are none."""

    def __init__(self, origins: Iterable[str] = ()) -> None:
        self._allowed = frozenset(map(_as_sent, origins))

    def __bool__(self) -> bool:
        return bool(self._allowed)

    def allows(self, headers: Mapping[bytes, bytes]) -> bool:
        """Whether a request says that it comes from an allowed origin."""
        return headers.get(b"origin", b"").lower() in self._allowed

    def response_headers(self, headers: Mapping[bytes, bytes]) -> Headers:
        """The headers that let a page read the response; none if its origin is not allowed."""
        if not self.allows(headers):
            return [(b"vary", b"origin")]
        return [
            (b"access-control-allow-origin", headers[b"origin"]),
            (b"access-control-expose-headers", _EXPOSED),
            (b"vary", b"origin"),
        ]

    def preflight_headers(self, method: str, headers: Mapping[bytes, bytes]) -> Headers | None:
        """The headers that answer a preflight request; None if the request is no such one."""
        is_preflight = method == "OPTIONS" and b"access-control-request-method" in headers
        if not is_preflight or not self.allows(headers):
            return None
        return [
            (b"access-control-allow-methods", b"GET, POST, PATCH, DELETE"),
            (b"access-control-allow-headers", _ALLOWED_HEADERS),
            (b"access-control-max-age", b"600"),
        ]


def _as_sent(origin: str) -> bytes:
    """An origin as browsers send it: in lower case, without the usual port of its scheme."""
    scheme, _, host = origin.rstrip("/").lower().partition("://")
    return f"{scheme}://{host.removesuffix(_USUAL_PORTS.get(scheme, ''))}".encode()
