"""The table of routes: which handler a method and a path lead to.

Invariant: every method and path has a handler; one that is not in the table is refused by its own.
This module does not know what the other handlers do.
"""

from turnout.gateway.arrival import Arrival, Handler, Routes
from turnout.gateway.azure import split_azure_path
from turnout.gateway.body import Refused
from turnout.gateway.dialects import ApiDialect, Chat, Messages
from turnout.gateway.dialects.detect import ANTHROPIC
from turnout.gateway.exchange import Exchange
from turnout.gateway.problem import bad_request, wrong_method
from turnout.gateway.unknown_path import unknown_path_message

# Asked in the same words by clients of all APIs, of which one says who it is.
_OF_ALL = frozenset({"/v1/models", "/v1/models/"})


class Paths:
    """The routes of a table; a path in it that ends in a slash stands for all paths below."""

    def __init__(self, routes: Routes) -> None:
        self._exact = {key: routes[key] for key in routes if not key[1].endswith("/")}
        self._prefixes = {key: routes[key] for key in routes if key not in self._exact}

    def find(self, arrival: Arrival) -> tuple[str, ApiDialect, Handler]:
        """The route's path as metrics name it, its dialect and its handler.

        HEAD is handled as GET is; its body is left out when it is sent. An address as Azure's
        clients write it sets the arrival's path and model.
        """
        path, method = arrival.path, "GET" if arrival.method == "HEAD" else arrival.method
        found = self._exact.get((method, path))
        if found is None:
            path, arrival.model = split_azure_path(path)
            arrival.path = path
            found = self._exact.get((method, path))
        if found is None:
            path = next((p for _, p in self._prefixes if path.startswith(p) and path != p), "")
            found = self._prefixes.get((method, path))
        if found is None:
            return "unknown", _dialect_of(arrival), self._refuse
        dialect, handler = found
        return path, _dialect_of(arrival) if path in _OF_ALL else dialect, handler

    async def _refuse(self, arrival: Arrival, out: Exchange) -> None:
        """Says which methods the path has, or which path may be meant."""
        del out
        known = {m for m, path in self._exact if path == arrival.path}
        known = known or {m for m, path in self._prefixes if arrival.path.startswith(path)}
        methods = known | ({"HEAD"} if "GET" in known else set())
        if methods and not arrival.path.endswith("/"):
            raise Refused(wrong_method(arrival.path, arrival.method, ", ".join(sorted(methods))))
        message = unknown_path_message(arrival.path, {path for _, path in self._exact})
        raise Refused(bad_request(message, status=404, code="not_found"))


def _dialect_of(arrival: Arrival) -> ApiDialect:
    """The dialect in which a caller of a path of no API reads errors."""
    return Messages() if ANTHROPIC in arrival.headers else Chat()
