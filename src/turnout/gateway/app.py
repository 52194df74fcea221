"""The gateway: the one table of routes, and the border where nothing escapes.

Invariant: every path and method is in the table or refused, and access is checked before a body is
read; an exception becomes an error in the caller's dialect, and its details stay in the log.
This module does not know HTTP parsing.
"""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from msgspec import structs

from turnout.core import BudgetExceeded, Caller, LedgerError, RouterError
from turnout.core.cooldown import Cooldown
from turnout.gateway import log
from turnout.gateway.access import Access
from turnout.gateway.admin import Admin
from turnout.gateway.answering import answer
from turnout.gateway.arrival import Arrival, Handler, Table
from turnout.gateway.astray import whither
from turnout.gateway.azure import resolved
from turnout.gateway.body import Refused, read_json
from turnout.gateway.cache import Cache, kept_of, key_of, replay
from turnout.gateway.conversations import Conversations
from turnout.gateway.cors import Origins
from turnout.gateway.dialects import ApiDialect, Chat, Embeddings, Inbound, Messages, Responses
from turnout.gateway.dialects.detect import ANTHROPIC
from turnout.gateway.exchange import JSON, Exchange, Gone
from turnout.gateway.idempotency import HEADER, Once
from turnout.gateway.inbound import LOW, PRIORITY
from turnout.gateway.metrics import Metrics
from turnout.gateway.own_api import OwnApi
from turnout.gateway.problem import Problem, bad_request, internal, problem_of, shed, wrong_method
from turnout.gateway.readiness import Readiness
from turnout.gateway.recent import Recent
from turnout.gateway.says import common_headers
from turnout.gateway.tracing import Traced, traces_of
from turnout.gateway.watch import Watch
from turnout.runtime import Engine, Replays, Walk, new_id, replays_in, worked

_LOG = logging.getLogger("turnout.gateway")
_LEFT = 499
LOW_SHARE = 0.8


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


class Gateway:
    """Serves ``engine`` until it is told to ``take`` another one.

    ``readiness.draining`` makes ``/readyz`` say no, so that balancers send nothing new.
    """

    def __init__(
        self, engine: Engine, limits: Limits | None = None, access: Access | None = None
    ) -> None:
        self.engine = engine
        self.limits = limits or Limits()
        self.access = access or Access()
        self.access.origins = Origins(engine.parts.config.serve.origins)
        self.readiness = Readiness(lambda: self.engine)
        self._metrics = Metrics()
        engine.listen(self._metrics.call)
        self._traces = traces_of(engine.parts.config)
        self._recent = Recent()
        self._cache = Cache()
        self._others: Callable[[Cooldown], object] = lambda _: None
        self._in_flight = 0
        self._outage = log.Outage()
        self._default = Chat()
        self._once = Once(self._replays, self._json)
        self._conversations = Conversations(self._replays, self._json)
        self._watch = Watch(lambda: self.engine.accounts)
        self._messages = Messages()
        table = self._table()
        self._routes = {at: table[at] for at in table if not at[1].endswith("/")}
        self._below = {at: table[at] for at in table if at not in self._routes}

    def _table(self) -> Table:
        chat, messages = self._default, self._messages
        own = OwnApi(self._json, self._recent, self._metrics, self.readiness)
        admin = Admin(lambda: self.engine.accounts, self._json)
        return {
            ("POST", "/v1/chat/completions"): (chat, self._answering(chat)),
            ("POST", "/v1/messages"): (messages, self._answering(messages)),
            ("POST", "/v1/responses"): (
                chat,
                self._conversations.around(self._answering(Responses())),
            ),
            ("POST", "/v1/embeddings"): (chat, self._answering(Embeddings())),
            **own.table(chat, self._conversations),
            **admin.table(chat),
        }

    def prepare(self) -> None:
        """Loads what the first request would otherwise wait for. Raises ConfigError."""
        self.engine.prepare()
        with suppress(LedgerError):  # said, and tried again, by ``attend``
            self.engine.accounts.open()

    def take(self, engine: Engine) -> Engine:
        """Serve the requests that arrive from now on by ``engine``; the one that did until now."""
        old = self.engine
        if old is not engine:
            # It may have met a rate limit since the new one was made, and may yet meet others.
            engine.catch_up(old)
            old.tell(self._learned)
        self.engine = engine
        engine.tell(self._others)
        engine.listen(self._metrics.call)
        self.access.origins = Origins(engine.parts.config.serve.origins)
        return old

    def tell(self, others: Callable[[Cooldown], object]) -> None:
        """Have ``others`` told of deployments that are left alone, whichever engine learns it."""
        self._others = others
        self.engine.tell(others)

    def _learned(self, cooldown: Cooldown) -> None:
        """A request that began before a reload has met what the engine has to know, too."""
        self.engine.heard(cooldown)
        self._others(cooldown)

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
            id=new_id(), method=out.method, path=out.path, headers=out.headers, exchange=out,
            engine=self.engine,
        )  # fmt: skip
        place, dialect, handler = self._find(arrival)
        origins = self.access.origins
        out.common = common_headers(arrival.id, dialect.name, arrival.headers, origins)
        self._in_flight += 1
        self._metrics.in_flight(1)
        try:
            with arrival.engine.cohort:
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
            if isinstance(found, Problem) and found.status == 401 and self.engine.accounts.kept:
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
            self._told(error, arrival)
            problem = problem_of(error)
            self._metrics.refused(problem.code)
            await _refuse(problem, dialect, arrival, out)
        except Exception:  # noqa: BLE001 -- the border where nothing escapes
            _LOG.exception("request %s failed", arrival.id)
            await _refuse(internal(), dialect, arrival, out)

    def _told(self, error: RouterError, arrival: Arrival) -> None:
        """Logs what an operator may be asked about."""
        if isinstance(error, LedgerError):
            self._outage.tell(str(error))
        elif isinstance(error, BudgetExceeded):
            log.over_budget(arrival.id, error.standings)

    def _caller(self, arrival: Arrival) -> Caller | Problem:
        return self.access.caller(
            arrival.method, arrival.path, arrival.headers, self.engine.accounts
        )

    def _find(self, arrival: Arrival) -> tuple[str, ApiDialect, Handler]:
        """The route's path for the metrics, its dialect and its handler.

        HEAD is answered as GET is, and its body left out on the way.
        """
        path, method = arrival.path, "GET" if arrival.method == "HEAD" else arrival.method
        found = self._routes.get((method, path))
        if found is None:
            path, arrival.model = resolved(path)
            arrival.path = path
            found = self._routes.get((method, path))
        if found is None:
            path = next((p for _, p in self._below if path.startswith(p) and path != p), "")
            found = self._below.get((method, path))
        dialect = self._messages if ANTHROPIC in arrival.headers else self._default
        return (path, *found) if found else ("unknown", dialect, self._unknown)

    async def _unknown(self, arrival: Arrival, out: Exchange) -> None:
        del out
        known = {m for m, path in self._routes if path == arrival.path}
        known = known or {m for m, path in self._below if arrival.path.startswith(path)}
        methods = known | ({"HEAD"} if "GET" in known else set())
        if methods and not arrival.path.endswith("/"):
            raise Refused(wrong_method(arrival.path, arrival.method, ", ".join(sorted(methods))))
        message = whither(arrival.path, {path for _, path in self._routes})
        raise Refused(bad_request(message, status=404, code="not_found"))

    def _answering(self, dialect: ApiDialect) -> Handler:
        async def handle(arrival: Arrival, out: Exchange) -> None:
            if self._in_flight > self.limits.most_for(arrival.headers):
                raise Refused(shed())
            engine = arrival.engine
            payload = await self._json(arrival)
            await engine.cohort.in_step()
            config = engine.parts.config
            rules, knobs = config.cache, config.knobs
            key = None
            if rules.ttl_s:
                bundle = engine.parts.means.rules.bundle
                said = [payload, arrival.follows]
                owner = arrival.caller.key if knobs is not None and knobs.keys else None
                parts = arrival.caller, owner, arrival.path, bundle, arrival.headers, said
                key = await worked(arrival.body_bytes, key_of, *parts)
                if (kept := self._cache.get(key)) is not None:
                    self._metrics.hit()
                    await replay(kept, out)
                    return
                out.copy = []
            inbound = await worked(arrival.body_bytes, dialect.read, payload)
            if arrival.follows:
                inbound = structs.replace(inbound, follows=arrival.follows)
            request = arrival.request(dialect, inbound)
            if self._traces is None:
                walk = await self._answered(engine, dialect, inbound, Traced(request), out)
            else:
                with self._traces.request(request) as traced:
                    walk = await self._answered(engine, dialect, inbound, traced, out)
            if key is not None:
                kept = kept_of(walk, out, rules.ttl_s, stream=inbound.stream)
                if kept is not None:
                    self._cache.put(key, kept, rules.most_bytes)

        return handle

    async def _answered(
        self, engine: Engine, dialect: ApiDialect, inbound: Inbound, traced: Traced, out: Exchange
    ) -> Walk:
        """The walk of a request, all of it settled; it is told of however it ended."""
        walk = traced.walk = await engine.begin(traced.request)
        try:
            await answer(walk, dialect, inbound, out, engine.parts.config.timeouts.hold_s)
        finally:
            self._recent.keep(
                walk.request.tenant, walk.decision, walk.outcomes, walk.cost_pico_usd, walk.scans
            )
            self._metrics.walk(walk)
            log.answered(walk.request.id, walk, engine.receipt)
        return walk

    async def _json(self, arrival: Arrival) -> object:
        if arrival.payload is None:
            limits = self.limits
            arrival.payload, arrival.body_bytes = await read_json(
                arrival.exchange, max_bytes=limits.max_body_bytes, deadline_s=limits.receive_s
            )
            if arrival.model is not None and isinstance(arrival.payload, dict):
                arrival.payload["model"] = arrival.model
        return arrival.payload

    def _replays(self) -> Replays | None:
        return replays_in(self.engine.parts.means.recorder)


async def _refuse(problem: Problem, dialect: ApiDialect, arrival: Arrival, out: Exchange) -> None:
    # Once an answer has begun, its connection is cut instead.
    if out.status is None:
        body = dialect.error(problem, arrival.id)
        await out.whole(problem.status, [JSON, *problem.headers()], body)
