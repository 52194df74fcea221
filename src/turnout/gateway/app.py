"""The gateway: what its paths do, and the border that no exception crosses.

Invariant: access is checked before a body is read; an exception becomes an error in the caller's
dialect, and its details stay in the log. This module does not know HTTP parsing.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from msgspec import structs

from turnout.core import BudgetExceeded, Caller, LedgerError, RouterError
from turnout.core.cooldown import Cooldown
from turnout.gateway import log
from turnout.gateway.access import Access
from turnout.gateway.admin import Admin
from turnout.gateway.answer_headers import common_headers
from turnout.gateway.answering import answer
from turnout.gateway.arrival import Arrival, Handler, ReadJson, Routes
from turnout.gateway.body import Refused, read_json
from turnout.gateway.cache import Cache, cache_key, cacheable_answer, send_cached
from turnout.gateway.conversations import Conversations
from turnout.gateway.cors import Origins
from turnout.gateway.dialects import ApiDialect, Chat, Embeddings, Messages, Responses
from turnout.gateway.dialects.words import in_words_of
from turnout.gateway.exchange import JSON, Exchange, Gone
from turnout.gateway.idempotency import HEADER, Idempotency
from turnout.gateway.kept_answers import KeptAnswers
from turnout.gateway.metrics import Metrics
from turnout.gateway.own_api import OwnApi
from turnout.gateway.paths import Paths
from turnout.gateway.problem import Problem, internal, overloaded, problem_of
from turnout.gateway.readiness import Readiness
from turnout.gateway.recent import Recent
from turnout.gateway.request_headers import LOW, PRIORITY
from turnout.gateway.stored_responses import StoredResponses
from turnout.gateway.tracing import call_ended, traces_of
from turnout.gateway.watch import Watch
from turnout.runtime import Engine, Replays, is_long, new_id, offload_if_long, replays_in

_LOG = logging.getLogger("turnout.gateway")
# The status that logs and metrics have for a caller who left, as nginx has it.
_CLIENT_LEFT = 499
# The share of all places that requests of low priority may take.
LOW_SHARE = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most bytes of a body, seconds until a body has come, and requests at a time."""

    max_body_bytes: int = 32 * 2**20
    receive_s: float = 10.0
    max_in_flight: int = 2000

    def max_in_flight_for(self, headers: Mapping[bytes, bytes]) -> int:
        """How many requests may be under way beside this one; fewer for one of low priority."""
        if headers.get(PRIORITY) == LOW:
            return int(self.max_in_flight * LOW_SHARE)
        return self.max_in_flight


class Gateway:
    """Serves ``engine`` until ``replace_engine`` gives it another one.

    With ``readiness.draining`` set, ``/readyz`` says no, so that balancers send nothing new.
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
        self._listen_to(engine)
        self._traces = traces_of(engine.parts.config)
        self._recent = Recent()
        self._cache = Cache()
        self._on_cooldown: Callable[[Cooldown], object] = lambda _: None
        self._outage = log.Outage()
        self._json: ReadJson = partial(
            read_json, max_bytes=self.limits.max_body_bytes, deadline_s=self.limits.receive_s
        )
        self._idempotency = Idempotency(self._replays, self._json)
        self._kept = KeptAnswers(self._replays)
        self._conversations = Conversations(self._kept, self._json)
        self._watch = Watch(lambda: self.engine.accounts)
        self._paths = Paths(self._routes())

    def _routes(self) -> Routes:
        chat, messages, responses = Chat(), Messages(), Responses()
        own = OwnApi(self._json, self._recent, self._metrics, self.readiness)
        admin = Admin(lambda: self.engine.accounts, self._json)
        return {
            ("POST", "/v1/chat/completions"): (chat, self._answer_handler(chat)),
            ("POST", "/v1/messages"): (messages, self._answer_handler(messages)),
            ("POST", "/v1/responses"): (
                responses,
                self._conversations.wrap(self._answer_handler(responses)),
            ),
            **StoredResponses(self._kept).routes(responses),
            ("POST", "/v1/embeddings"): (chat, self._answer_handler(Embeddings())),
            **own.routes(chat, self._conversations),
            **admin.routes(chat),
        }

    def prepare(self) -> None:
        """Loads what the first request would otherwise wait for. Raises ConfigError."""
        self.engine.prepare_first()
        with suppress(LedgerError):  # logged, and tried again, by ``watch_accounts``
            self.engine.accounts.open()
        log.unused_budgets(self.engine.accounts.unused_budgets)

    def replace_engine(self, engine: Engine) -> Engine:
        """Serve new requests by ``engine``. Returns the one that served until now."""
        old = self.engine
        if old is not engine:
            # The old one may have met a rate limit since the new one was made, or meet one yet.
            engine.take_over_health(old)
            old.on_cooldown(self._pass_on_cooldown)
        self.engine = engine
        engine.on_cooldown(self._on_cooldown)
        self._listen_to(engine)
        self.access.origins = Origins(engine.parts.config.serve.origins)
        log.unused_budgets(engine.accounts.unused_budgets)
        return old

    def _listen_to(self, engine: Engine) -> None:
        engine.add_listener(self._metrics.call)
        engine.add_listener(call_ended)

    def on_cooldown(self, callback: Callable[[Cooldown], object]) -> None:
        """Call ``callback`` when a deployment begins to cool down, whichever engine sees it."""
        self._on_cooldown = callback
        self.engine.on_cooldown(callback)

    def _pass_on_cooldown(self, cooldown: Cooldown) -> None:
        """Passes on a cooldown that a request met which began before a reload."""
        self.engine.apply_cooldown(cooldown)
        self._on_cooldown(cooldown)

    async def watch_accounts(self) -> None:
        """Follows changes of keys and budgets in the ledger, until it is cancelled."""
        await self._watch.run()

    def close(self) -> None:
        """Sends the last traces; may take a few seconds."""
        self._traces.close()

    async def serve(self, out: Exchange) -> None:
        """Answers one request."""
        started = time.perf_counter()
        arrival = Arrival(
            id=new_id(), method=out.method, path=out.path, headers=out.headers, exchange=out,
            engine=self.engine,
        )  # fmt: skip
        route, dialect, handler = self._paths.find(arrival)
        origins = self.access.origins
        out.common = common_headers(arrival.id, dialect.name, arrival.headers, origins)
        self._metrics.request_began()
        try:
            with arrival.engine.cohort as cohort:
                preflight = origins.preflight_headers(arrival.method, arrival.headers)
                if preflight is not None:
                    await out.whole(200, preflight, b"")
                    return
                caller = self._caller(arrival)
                if isinstance(caller, Problem):
                    caller = await self._caller_found_anew(arrival, caller)
                arrival.caller = caller
                await cohort.end_step()
                if HEADER in arrival.headers:
                    handler = self._idempotency.wrap(handler, dialect)
                await handler(arrival, out)
        except Gone:
            return
        except asyncio.CancelledError:
            # Let out, it would hold all of the request, in a circle with its task.
            if not out.gone:
                raise
        except Exception as error:  # noqa: BLE001 -- the border where nothing escapes
            await _refuse(self._problem_of(error, dialect, arrival), dialect, arrival, out)
        finally:
            out.close()
            status = _CLIENT_LEFT if out.gone else out.status or _CLIENT_LEFT
            seconds = time.perf_counter() - started
            self._metrics.request_ended(route, status, seconds)
            log.access(arrival.id, route, status, seconds)

    async def _caller_found_anew(self, arrival: Arrival, problem: Problem) -> Caller:
        """The caller, if the key was made a moment ago. Raises Refused."""
        if problem.status == 401 and self.engine.accounts.has_ledger:
            await self._watch.refresh_for_key()
            caller = self._caller(arrival)
            if not isinstance(caller, Problem):
                return caller
            problem = caller
        raise Refused(problem)

    def _problem_of(self, error: Exception, dialect: ApiDialect, arrival: Arrival) -> Problem:
        """What the caller is told of an error, which is counted or logged."""
        if isinstance(error, Refused):
            problem = error.problem
        elif isinstance(error, RouterError):
            self._log_error(error, arrival)
            problem = in_words_of(dialect.name, problem_of(error))
        else:
            _LOG.exception("request %s failed", arrival.id)
            return internal()
        self._metrics.refused(problem.code)
        return problem

    def _log_error(self, error: RouterError, arrival: Arrival) -> None:
        """Logs an error that an operator has to know."""
        if isinstance(error, LedgerError):
            self._outage.report(str(error))
        elif isinstance(error, BudgetExceeded):
            log.over_budget(arrival.id, error.standings)

    def _caller(self, arrival: Arrival) -> Caller | Problem:
        return self.access.caller(
            arrival.method, arrival.path, arrival.headers, self.engine.accounts
        )

    def _answer_handler(self, dialect: ApiDialect) -> Handler:
        async def handle(arrival: Arrival, out: Exchange) -> None:
            if self._metrics.under_way > self.limits.max_in_flight_for(arrival.headers):
                raise Refused(overloaded())
            engine, config = arrival.engine, arrival.engine.parts.config
            payload = await self._json(arrival)
            await engine.cohort.end_step()
            rules, key = config.cache, None
            if rules.ttl_s:
                key = await offload_if_long(arrival.body_bytes, cache_key, arrival)
                if (cached := self._cache.get(key)) is not None:
                    self._metrics.cache_hit()
                    await send_cached(cached, out)
                    return
                out.copy = []
            if is_long(arrival.body_bytes):
                inbound = await asyncio.to_thread(dialect.read, payload)
            else:
                inbound = dialect.read(payload)
            if arrival.follows:
                inbound = structs.replace(inbound, follows=arrival.follows)
            request = arrival.request(dialect, inbound)
            await engine.cohort.end_step()
            with self._traces.request(request) as traced:
                walk = traced.walk = await engine.begin(traced.request)
                try:
                    await answer(walk, dialect, inbound, out, config.timeouts.hold_s)
                finally:
                    self._recent.keep(request.tenant, walk.decision, walk.outcomes, walk.scans)
                    self._metrics.walk(walk)
                    log.walk_ended(walk)
            if key is not None:
                cached = cacheable_answer(walk, out, rules.ttl_s, stream=inbound.stream)
                if cached is not None:
                    self._cache.put(key, cached, rules.most_bytes)

        return handle

    def _replays(self) -> Replays | None:
        return replays_in(self.engine.parts.means.recorder)


async def _refuse(problem: Problem, dialect: ApiDialect, arrival: Arrival, out: Exchange) -> None:
    # Once an answer has begun, its connection is cut instead.
    if out.status is None:
        body = dialect.error(problem, arrival.id)
        await out.whole(problem.status, [JSON, *problem.headers()], body)
