"""The gateway: the one table of routes, and the border where nothing escapes.

Invariant: every path and method is in the table or refused, and access is checked before a body is
read; an exception becomes an error in the caller's dialect, and its details stay in the log.
This module does not know HTTP parsing.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

import orjson
from msgspec import Struct

from turnout.core import Caller, LedgerError, Request, RouterError
from turnout.gateway import control, log
from turnout.gateway.access import ANYONE, Access
from turnout.gateway.admin import Admin
from turnout.gateway.answering import answer
from turnout.gateway.body import Refused, read_json
from turnout.gateway.cache import Cache, Kept, key_of, may_be_kept, replay
from turnout.gateway.cors import Origins
from turnout.gateway.dialects import (
    ApiDialect,
    Chat,
    Embeddings,
    Inbound,
    Messages,
    Responses,
    dialect_of,
)
from turnout.gateway.exchange import Exchange, Gone
from turnout.gateway.idempotency import HEADER, Once
from turnout.gateway.inbound import LOW, PRIORITY, constraints_of, session_of, tags_of
from turnout.gateway.metrics import Metrics
from turnout.gateway.openapi import document
from turnout.gateway.problem import Problem, bad_request, internal, problem_of, shed
from turnout.gateway.readiness import READY, Readiness
from turnout.gateway.recent import Recent, merged
from turnout.gateway.says import common_headers
from turnout.gateway.tracing import traces_of
from turnout.gateway.watch import Watch
from turnout.runtime import Router, new_id, replays_in

_LOG = logging.getLogger("turnout.gateway")
_JSON = (b"content-type", b"application/json")
_DECISIONS = "/v1/decisions/"
_MODEL = "/v1/models/"
_LEFT = 499
LOW_SHARE = 0.8

_PREFIXES = (_DECISIONS, _MODEL, "/v1/keys/", "/v1/budgets/")

Handler = Callable[["Arrival", Exchange], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the gateway takes: body bytes, seconds until a body is there, requests at a time."""

    max_body_bytes: int = 32 * 2**20
    receive_s: float = 10.0
    max_in_flight: int = 2000

    def most_for(self, headers: Mapping[bytes, bytes]) -> int:
        """Requests at a time beyond which this one is shed: the ones that can wait go first."""
        if headers.get(PRIORITY) == LOW:
            return int(self.max_in_flight * LOW_SHARE)
        return self.max_in_flight


class Arrival(Struct, kw_only=True):
    """A request that has arrived: its path, its headers (lower case), its own id, who sent it."""

    id: str
    method: str
    path: str
    headers: Mapping[bytes, bytes]
    exchange: Exchange
    caller: Caller = ANYONE


class Gateway:
    """Serves ``router`` until it is told to ``take`` another one.

    ``readiness.draining`` makes ``/readyz`` say no, so that balancers send nothing new.
    """

    def __init__(
        self, router: Router, limits: Limits | None = None, access: Access | None = None
    ) -> None:
        self.router = router
        self.limits = limits or Limits()
        self.access = access or Access()
        self.access.origins = Origins(router.parts.config.serve.origins)
        self.readiness = Readiness(lambda: self.router)
        self._metrics = Metrics()
        self._traces = traces_of(router.parts.config)
        self._recent = Recent()
        self._cache = Cache()
        self._in_flight = 0
        self._default = Chat()
        self._once = Once(lambda: replays_in(self.router.parts.means.recorder), self._json)
        self._admin = Admin(lambda: self.router.accounts, self._json)
        self._watch = Watch(lambda: self.router.accounts)
        self._routes = self._table()

    def _table(self) -> dict[tuple[str, str], tuple[ApiDialect, Handler]]:
        chat, messages = self._default, Messages()
        return {
            ("POST", "/v1/chat/completions"): (chat, self._answering(chat)),
            ("POST", "/v1/messages"): (messages, self._answering(messages)),
            ("POST", "/v1/responses"): (chat, self._answering(Responses())),
            ("POST", "/v1/embeddings"): (chat, self._answering(Embeddings())),
            ("POST", "/v1/messages/count_tokens"): (messages, self._count_tokens),
            ("GET", "/v1/models"): (chat, self._models),
            ("GET", _MODEL): (chat, self._model),
            ("POST", "/v1/route"): (chat, self._route),
            ("GET", _DECISIONS): (chat, self._decision),
            ("POST", "/v1/feedback"): (chat, self._feedback),
            **self._admin.table(chat),
            ("GET", "/healthz"): (chat, self._health),
            ("GET", "/readyz"): (chat, self._ready),
            ("GET", "/metrics"): (chat, self._show_metrics),
            ("GET", "/openapi.json"): (chat, self._openapi),
        }

    def prepare(self) -> None:
        """Loads what the first request would otherwise wait for. Raises ConfigError."""
        self.router.prepare()
        with suppress(LedgerError):  # said, and tried again, by ``attend``
            self.router.accounts.open()

    def take(self, router: Router) -> Router:
        """Serve the requests that arrive from now on by ``router``; the one that did until now."""
        old, self.router = self.router, router
        self.access.origins = Origins(router.parts.config.serve.origins)
        return old

    async def attend(self) -> None:
        """Keeps keys and budgets as they are in the ledger, until it is cancelled."""
        await self._watch.run()

    def close(self) -> None:
        """Sends what is left of traces; may take a few seconds."""
        if self._traces is not None:
            self._traces.close()

    async def serve(self, out: Exchange) -> None:
        """Answers one request."""
        started = time.perf_counter()
        arrival = Arrival(
            id=new_id(), method=out.method, path=out.path, headers=out.headers, exchange=out
        )
        place, dialect, handler = self._find(arrival)
        out.common = common_headers(arrival.id, arrival.headers, self.access.origins)
        self._in_flight += 1
        self._metrics.in_flight(1)
        try:
            await self._guarded(handler, dialect, arrival, out)
        finally:
            self._in_flight -= 1
            self._metrics.in_flight(-1)
            status = _LEFT if out.gone else out.status or _LEFT
            seconds = time.perf_counter() - started
            self._metrics.request(place, status, seconds)
            log.access(arrival.id, place, status, seconds)

    async def _guarded(
        self, handler: Handler, dialect: ApiDialect, arrival: Arrival, out: Exchange
    ) -> None:
        try:
            asked = self.access.origins.preflight(arrival.method, arrival.headers)
            if asked is not None:
                await out.whole(204, asked, b"")
                return
            found = self._caller(arrival)
            if isinstance(found, Problem) and found.status == 401 and self.router.accounts.kept:
                await self._watch.look_for_key()
                found = self._caller(arrival)
            if isinstance(found, Problem):
                raise Refused(found)  # noqa: TRY301 -- refused as everything else is
            arrival.caller = found
            if HEADER in arrival.headers:
                handler = self._once.around(handler, dialect)
            await handler(arrival, out)
        except Gone:
            return
        except Refused as refused:
            self._metrics.refused(refused.problem.code)
            await _refuse(refused.problem, dialect, arrival, out)
        except RouterError as error:
            problem = problem_of(error, soonest_s=self.router.soonest_s())
            self._metrics.refused(problem.code)
            await _refuse(problem, dialect, arrival, out)
        except Exception:  # noqa: BLE001 -- the border where nothing escapes
            _LOG.exception("request %s failed", arrival.id)
            await _refuse(internal(), dialect, arrival, out)

    def _caller(self, arrival: Arrival) -> Caller | Problem:
        return self.access.caller(
            arrival.method, arrival.path, arrival.headers, self.router.accounts
        )

    def _find(self, arrival: Arrival) -> tuple[str, ApiDialect, Handler]:
        """The route's path for the metrics, its dialect and its handler.

        HEAD is answered as GET is, and its body left out on the way.
        """
        path, method = arrival.path, "GET" if arrival.method == "HEAD" else arrival.method
        found = self._routes.get((method, path))
        if found is None:
            path = next((p for p in _PREFIXES if path.startswith(p)), path)
            found = self._routes.get((method, path))
        return (path, *found) if found else ("unknown", self._default, self._unknown)

    async def _unknown(self, arrival: Arrival, out: Exchange) -> None:
        del out
        methods = ", ".join(sorted(m for m, path in self._routes if path == arrival.path))
        if methods:
            message = f"{arrival.path} takes {methods}, not {arrival.method}"
            wrong = bad_request(message, status=405, code="method_not_allowed")
            raise Refused(replace(wrong, allow=methods))
        message = f"no such path: {arrival.path[:100]}{self._hint(arrival.path)}"
        raise Refused(bad_request(message, status=404, code="not_found"))

    def _hint(self, path: str) -> str:
        """The path that is meant, where only its beginning or a slash at its end is wrong."""
        near = "/v1/" + path.strip("/").removeprefix("v1/").removeprefix("v1/")
        return f"; did you mean {near}?" if any(p == near for _, p in self._routes) else ""

    def _answering(self, dialect: ApiDialect) -> Handler:
        async def handle(arrival: Arrival, out: Exchange) -> None:
            if self._in_flight > self.limits.most_for(arrival.headers):
                raise Refused(shed())
            router = self.router
            payload = await self._json(arrival)
            rules = router.parts.config.cache
            key = None
            if rules.ttl_s:
                bundle = router.parts.means.rules.bundle
                key = key_of(arrival.caller, arrival.path, bundle, arrival.headers, payload)
                if (kept := self._cache.get(key)) is not None:
                    await replay(kept, out)
                    return
                out.copy = []
            inbound = dialect.read(payload)
            request = _request(arrival, dialect, inbound)
            if self._traces is None:
                walk = await answer(router, dialect, inbound, request, out)
            else:
                with self._traces.request(request) as traced:
                    walk = await answer(router, dialect, inbound, traced.request, out)
                    traced.walk = walk
            if key is not None and out.copy is not None and may_be_kept(walk, out):
                self._cache.put(
                    key,
                    Kept(
                        until_s=time.monotonic() + rules.ttl_s,
                        stream=inbound.stream,
                        model=walk.outcomes[-1].model or "",
                        decision=walk.decision.id,
                        body=b"".join(out.copy),
                    ),
                    rules.most_bytes,
                )
            self._recent.keep(
                request.tenant, walk.decision, walk.outcomes, walk.cost_pico_usd, walk.scans
            )
            self._metrics.walk(walk)
            log.answered(arrival.id, walk, router.receipt)

        return handle

    def _json(self, arrival: Arrival) -> Awaitable[object]:
        limits = self.limits
        return read_json(
            arrival.exchange, max_bytes=limits.max_body_bytes, deadline_s=limits.receive_s
        )

    async def _count_tokens(self, arrival: Arrival, out: Exchange) -> None:
        payload = await self._json(arrival)
        if isinstance(payload, dict):
            payload.setdefault("max_tokens", 1)
        dialect = Messages()
        request = _request(arrival, dialect, dialect.read(payload))
        await _send(out, {"input_tokens": self.router.input_tokens(request)})

    async def _models(self, arrival: Arrival, out: Exchange) -> None:
        await _send(out, control.models(self.router, arrival.caller.models))

    async def _model(self, arrival: Arrival, out: Exchange) -> None:
        wanted = arrival.path.removeprefix(_MODEL)
        listed = control.models(self.router, arrival.caller.models)["data"]
        found = next((m for m in listed if wanted in (m["id"], m.get("model"))), None)
        if found is None:
            message = f"no such model: {wanted[:100]}; GET /v1/models lists them"
            raise Refused(bad_request(message, status=404, code="model_not_found"))
        await _send(out, found)

    async def _route(self, arrival: Arrival, out: Exchange) -> None:
        payload = await self._json(arrival)
        dialect = dialect_of(payload, arrival.headers)
        request = _request(arrival, dialect, dialect.read(payload))
        decision = await self.router.aroute(request)
        self._recent.keep(request.tenant, decision)
        await _send(out, {**decision.as_dict(), "explanation": decision.explain()})

    async def _decision(self, arrival: Arrival, out: Exchange) -> None:
        ident, tenant = arrival.path.removeprefix(_DECISIONS), _tenant(arrival)
        recent = self._recent.record(ident, tenant)
        record = merged(recent, await self.router.recorded(ident, tenant))
        if record is None:
            message = "no such decision in the ledger or among the recent ones"
            raise Refused(bad_request(message, status=404, code="not_found"))
        await _send(out, record)

    async def _feedback(self, arrival: Arrival, out: Exchange) -> None:
        ident, said = control.feedback(await self._json(arrival))
        kept = await self.router.judged(ident, said, _tenant(arrival))
        if not self._recent.judge(ident, said, _tenant(arrival)) and not kept:
            message = "no such decision in the ledger or among the recent ones"
            raise Refused(bad_request(message, status=404, code="not_found"))
        await _send(out, {"decision_id": ident, **said})

    async def _health(self, arrival: Arrival, out: Exchange) -> None:
        del arrival
        await _send(out, {"status": "ok"})

    async def _ready(self, arrival: Arrival, out: Exchange) -> None:
        """Ready means that a request would be taken, recorded, and answered by some model."""
        del arrival
        state = await self.readiness.state()
        told = {"status": state, "models": self.router.callable_models()}
        await _send(out, told, status=200 if state == READY else 503)

    async def _show_metrics(self, arrival: Arrival, out: Exchange) -> None:
        del arrival
        self._metrics.cooling(self.router.cooling())
        kind = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")
        await out.whole(200, [kind], self._metrics.text())

    async def _openapi(self, arrival: Arrival, out: Exchange) -> None:
        del arrival
        await _send(out, document())


def _tenant(arrival: Arrival) -> str | None:
    """Whose decisions the caller may see; None for everybody's."""
    return None if arrival.caller.admin else arrival.caller.tenant


def _request(arrival: Arrival, dialect: ApiDialect, inbound: Inbound) -> Request:
    return Request(
        id=arrival.id,
        body=inbound.body,
        native=inbound.native,
        dialect=dialect.name,
        model=inbound.model,
        constraints=constraints_of(arrival.headers, arrival.caller.models),
        session=session_of(arrival.headers),
        tenant=arrival.caller.tenant,
        caller=arrival.caller,
        tags=tags_of(arrival.headers),
    )


async def _send(out: Exchange, payload: object, *, status: int = 200) -> None:
    await out.whole(status, [_JSON], orjson.dumps(payload, option=orjson.OPT_NON_STR_KEYS))


async def _refuse(problem: Problem, dialect: ApiDialect, arrival: Arrival, out: Exchange) -> None:
    # Once an answer has begun, its connection is cut instead.
    if out.status is None:
        body = dialect.error(problem, arrival.id)
        await out.whole(problem.status, [_JSON, *problem.headers()], body)
