"""The ASGI application: the one table of routes, and the border where nothing escapes.

Invariant: every path and method is in the table or refused; an exception becomes an error in the
caller's dialect, and its details stay in the log. This module does not know HTTP parsing.
"""

import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from turnout.core import Request, RouterError
from turnout.gateway.answering import answer
from turnout.gateway.body import Gone, Message, Receive, Refused, Scope, Send, read_json
from turnout.gateway.dialects import ApiDialect, Chat, Messages, Responses
from turnout.gateway.inbound import constraints_of, session_of, tags_of
from turnout.gateway.problem import Problem, bad_request, internal, problem_of
from turnout.gateway.responder import Responder
from turnout.runtime import Router

_LOG = logging.getLogger("turnout.gateway")
_JSON = (b"content-type", b"application/json")

Handler = Callable[["Arrival", Responder], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one request may take: body bytes, seconds until its body is there."""

    max_body_bytes: int = 32 * 2**20
    receive_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A request that has arrived: its path, its headers (lower case) and its own id."""

    id: str
    method: str
    path: str
    headers: Mapping[bytes, bytes]
    receive: Receive


class Gateway:
    """Serves ``router``; setting ``router`` swaps it for the requests that arrive from then on."""

    def __init__(self, router: Router, limits: Limits | None = None) -> None:
        self.router = router
        self.limits = limits or Limits()
        chat, messages, responses = Chat(), Messages(), Responses()
        self._routes: dict[tuple[str, str], tuple[ApiDialect, Handler]] = {
            ("POST", "/v1/chat/completions"): (chat, self._answering(chat)),
            ("POST", "/v1/messages"): (messages, self._answering(messages)),
            ("POST", "/v1/responses"): (responses, self._answering(responses)),
        }
        self._paths = {path for _, path in self._routes}
        self._default = chat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message: Message = await receive()
            if message["type"] == "lifespan.startup":
                self.router.prepare()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await self.router.aclose()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        arrival = Arrival(
            id="r_" + secrets.token_hex(12),
            method=scope["method"],
            path=scope["path"],
            headers=dict(scope["headers"]),
            receive=receive,
        )
        dialect, handler = self._find(arrival)
        out = Responder(receive, send, [(b"x-request-id", arrival.id.encode())])
        try:
            await handler(arrival, out)
        except Gone:
            out.gone = True
        except Refused as refused:
            await _refuse(refused.problem, dialect, arrival, out)
        except RouterError as error:
            await _refuse(problem_of(error), dialect, arrival, out)
        except Exception:
            _LOG.exception("request %s failed", arrival.id)
            if out.status is not None:
                raise
            await _refuse(internal(), dialect, arrival, out)

    def _find(self, arrival: Arrival) -> tuple[ApiDialect, Handler]:
        found = self._routes.get((arrival.method, arrival.path))
        return found if found is not None else (self._default, self._unknown)

    async def _unknown(self, arrival: Arrival, out: Responder) -> None:
        del out
        if arrival.path in self._paths:
            methods = ", ".join(sorted(m for m, p in self._routes if p == arrival.path))
            message = f"{arrival.path} takes {methods}, not {arrival.method}"
            raise Refused(bad_request(message, status=405, code="method_not_allowed"))
        raise Refused(bad_request(f"no such path: {arrival.path}", status=404, code="not_found"))

    def _answering(self, dialect: ApiDialect) -> Handler:
        async def handle(arrival: Arrival, out: Responder) -> None:
            payload = await self._json(arrival)
            inbound = dialect.read(payload)
            request = Request(
                id=arrival.id,
                body=inbound.body,
                native=inbound.native,
                dialect=dialect.name,
                model=inbound.model,
                constraints=constraints_of(arrival.headers),
                session=session_of(arrival.headers),
                tags=tags_of(arrival.headers),
            )
            with out:
                await answer(self.router, dialect, inbound, request, out)

        return handle

    async def _json(self, arrival: Arrival) -> object:
        limits = self.limits
        found: object = await read_json(
            arrival.receive,
            arrival.headers,
            max_bytes=limits.max_body_bytes,
            deadline_s=limits.receive_s,
        )
        return found


async def _refuse(problem: Problem, dialect: ApiDialect, arrival: Arrival, out: Responder) -> None:
    body = dialect.error(problem, arrival.id)
    headers = [_JSON, *problem.headers()]
    if problem.status in (408, 413):
        # The rest of the body is not read, so the connection cannot carry another request.
        headers.append((b"connection", b"close"))
    await out.whole(problem.status, headers, body)
