"""A request that has arrived, and what handlers of every path do with it.

Invariant: which decisions and models a caller sees depends on the key alone.
This module does not know routes.
"""

from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl

import orjson
from msgspec import Struct

from turnout.core import Caller, Request
from turnout.gateway.access import ANYONE
from turnout.gateway.dialects import ApiDialect, Inbound
from turnout.gateway.exchange import JSON, Exchange
from turnout.gateway.request_headers import constraints_of, kind_of, session_of, tags_of
from turnout.runtime import Engine


class Arrival(Struct, kw_only=True):
    """A request that has arrived: path, headers (with names in lower case), own id and caller.

    ``engine`` serves it to its end, even after a reload. ``ident`` is what its path has in place of
    ``{id}``. ``model`` is the one that its address names, which wins over the body's. ``payload``
    is the JSON of its body of ``body_bytes``, once that is read. ``follows`` is the id of the
    earlier answer that the body named, and whose conversation the payload now holds.
    """

    id: str
    method: str
    path: str
    headers: Mapping[bytes, bytes]
    exchange: Exchange
    engine: Engine
    caller: Caller = ANYONE
    ident: str = ""
    model: str | None = None
    payload: object = None
    body_bytes: int = 0
    follows: str | None = None

    @property
    def tenant(self) -> str | None:
        """Whose decisions the caller may see; None for everybody's."""
        return None if self.caller.admin else self.caller.tenant

    def request(self, dialect: ApiDialect, inbound: Inbound) -> Request:
        """The request for the engine. Raises InvalidRequest for headers that make no sense."""
        return Request(
            id=self.id,
            body=inbound.body,
            native=inbound.native,
            dialect=dialect.name,
            model=inbound.model,
            models=inbound.models,
            constraints=constraints_of(self.headers, self.caller.models),
            session=session_of(self.headers),
            tenant=self.caller.tenant,
            caller=self.caller,
            tags=tags_of(self.headers),
            body_bytes=self.body_bytes,
            kind=kind_of(self.headers),
        )


Handler = Callable[[Arrival, Exchange], Awaitable[None]]
ReadJson = Callable[[Arrival], Awaitable[object]]
Routes = dict[tuple[str, str], tuple[ApiDialect, Handler]]


async def send_json(out: Exchange, payload: object, *, status: int = 200) -> None:
    """The payload as a whole answer in JSON."""
    await out.whole(status, [JSON], orjson.dumps(payload, option=orjson.OPT_NON_STR_KEYS))


def query_of(out: Exchange) -> dict[str, str]:
    """The fields of the address's query, also those without a value."""
    return dict(parse_qsl(out.query.decode("latin-1"), keep_blank_values=True))
