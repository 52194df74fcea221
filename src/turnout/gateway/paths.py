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
from turnout.gateway.unknown_path import NOT_OFFERED, unknown_path_message

# Asked in the same words by clients of all APIs, of which one says who it is.
_OF_ALL = frozenset({"/v1/models", "/v1/models/{id}"})
_ID = "{id}"
# What stands for the id of a model or a budget may have slashes, as models' names have.
_WITH_SLASHES = frozenset({"/v1/models/{id}", "/v1/budgets/{id}"})


class Paths:
    """The routes of a table, in whose paths ``{id}`` stands for any text.

    An exact path wins over one with an id, whatever the method.
    """

    def __init__(self, routes: Routes) -> None:
        self._exact = {key: routes[key] for key in routes if _ID not in key[1]}
        self._templated = {key: routes[key] for key in routes if key not in self._exact}
        self._templates = {path for _, path in self._templated}
        self._known = {path for _, path in self._exact}

    def find(self, arrival: Arrival) -> tuple[str, ApiDialect, Handler]:
        """The route's path as metrics name it, its dialect and its handler.

        HEAD is handled as GET is; its body is left out when it is sent. Sets the arrival's
        ``ident``; an address as Azure's clients write it sets its path and model.
        """
        path, method = arrival.path, "GET" if arrival.method == "HEAD" else arrival.method
        found = self._exact.get((method, path))
        if found is None:
            path, arrival.model = split_azure_path(path)
            arrival.path = path
            found = self._exact.get((method, path))
        if found is None:
            path, arrival.ident = self._fitting(path)
            found = self._templated.get((method, path))
        if found is None:
            return "unknown", _dialect_of(arrival), self._refuse
        dialect, handler = found
        return path, _dialect_of(arrival) if path in _OF_ALL else dialect, handler

    def _fitting(self, path: str) -> tuple[str, str]:
        """The template that the path belongs to, and its id; both empty if there is none."""
        for template in self._templates if path not in self._known else ():
            begin, _, end = template.partition(_ID)
            ident = path.removeprefix(begin).removesuffix(end)
            fits = ident and path == begin + ident + end
            if fits and ("/" not in ident or template in _WITH_SLASHES):
                return template, ident
        return "", ""

    async def _refuse(self, arrival: Arrival, out: Exchange) -> None:
        """Says which methods the path has, or which path may be meant."""
        del out
        template, _ = self._fitting(arrival.path)
        methods = {m for m, path in self._exact if path == arrival.path}
        methods |= {m for m, path in self._templated if path == template}
        if methods and arrival.path not in NOT_OFFERED:
            methods |= {"HEAD"} if "GET" in methods else set()
            raise Refused(wrong_method(arrival.path, arrival.method, ", ".join(sorted(methods))))
        message = unknown_path_message(arrival.path, self._known)
        raise Refused(bad_request(message, status=404, code="not_found"))


def _dialect_of(arrival: Arrival) -> ApiDialect:
    """The dialect in which a caller of a path of no API reads errors."""
    return Messages() if ANTHROPIC in arrival.headers else Chat()
