"""The gateway's own paths: what there is, what would be decided, what was, and how it goes.

Invariant: no model answers here; a decision is shown to its tenant and to administrators.
"""

from collections.abc import Mapping
from typing import Any

from turnout.gateway import control
from turnout.gateway.arrival import Arrival, ReadJson, Routes, query_of, send_json
from turnout.gateway.body import Refused
from turnout.gateway.conversations import Conversations
from turnout.gateway.dialects import ApiDialect, Messages, Responses, dialect_of
from turnout.gateway.exchange import Exchange
from turnout.gateway.metrics import Metrics
from turnout.gateway.openapi import document
from turnout.gateway.page import page_of
from turnout.gateway.problem import bad_request
from turnout.gateway.readiness import READY, Readiness
from turnout.gateway.recent import Recent, merged
from turnout.runtime import offload_if_long

_NO_DECISION = bad_request(
    "no such decision in the ledger or among the recent ones", status=404, code="not_found"
)
_TEXT = (b"content-type", b"text/plain; version=0.0.4; charset=utf-8")


class OwnApi:
    """The handlers; ``read`` gives a request's JSON."""

    def __init__(
        self,
        read: ReadJson,
        recent: Recent,
        metrics: Metrics,
        readiness: Readiness,
    ) -> None:
        self._read = read
        self._recent = recent
        self._metrics = metrics
        self._readiness = readiness

    def routes(self, dialect: ApiDialect, conversations: Conversations) -> Routes:
        """The paths and what answers them."""
        route = conversations.wrap(self._route, keeps=False)
        count_input = conversations.wrap(self._count_input, keeps=False)
        return {
            ("POST", "/v1/messages/count_tokens"): (Messages(), self._count_tokens),
            ("POST", "/v1/responses/input_tokens"): (Responses(), count_input),
            ("GET", "/v1/models"): (dialect, self._models),
            ("GET", "/v1/models/{id}"): (dialect, self._model),
            ("POST", "/v1/route"): (dialect, route),
            ("GET", "/v1/decisions/{id}"): (dialect, self._decision),
            ("POST", "/v1/feedback"): (dialect, self._feedback),
            ("GET", "/healthz"): (dialect, self._health),
            ("GET", "/readyz"): (dialect, self._ready),
            ("GET", "/metrics"): (dialect, self._show_metrics),
            ("GET", "/openapi.json"): (dialect, self._openapi),
        }

    async def _count_tokens(self, arrival: Arrival, out: Exchange) -> None:
        payload = await self._read(arrival)
        if isinstance(payload, dict):
            payload.setdefault("max_tokens", 1)
        await send_json(out, {"input_tokens": await _input_tokens(arrival, Messages(), payload)})

    async def _count_input(self, arrival: Arrival, out: Exchange) -> None:
        payload = await self._read(arrival)
        if isinstance(payload, dict) and payload.get("input") is None:
            payload["input"] = ""  # instructions or tools may be counted alone
        count = await _input_tokens(arrival, Responses(), payload)
        await send_json(out, {"object": "response.input_tokens", "input_tokens": count})

    async def _models(self, arrival: Arrival, out: Exchange) -> None:
        models = control.listed_models(arrival.engine, arrival.caller.models)
        most, query = control.MOST_LISTED, query_of(out)
        page = page_of(models, query, after="after_id", before="before_id", most=most)
        await send_json(out, page)

    async def _model(self, arrival: Arrival, out: Exchange) -> None:
        listed = control.listed_models(arrival.engine, arrival.caller.models)
        found = next((m for m in listed if _is_called(m, arrival.ident)), None)
        if found is None:
            message = f"no such model: {arrival.ident[:100]}; GET /v1/models lists them"
            raise Refused(bad_request(message, status=404, code="model_not_found"))
        await send_json(out, found)

    async def _route(self, arrival: Arrival, out: Exchange) -> None:
        payload = await self._read(arrival)
        dialect = dialect_of(payload, arrival.headers)
        request = arrival.request(
            dialect, await offload_if_long(arrival.body_bytes, dialect.read, payload)
        )
        decision, label_calls = await arrival.engine.decide(request)
        self._recent.keep(request.tenant, decision, label_calls)
        await send_json(out, {**decision.as_dict(), "explanation": decision.explain()})

    async def _decision(self, arrival: Arrival, out: Exchange) -> None:
        ident = arrival.ident
        recent = self._recent.record(ident, arrival.tenant)
        record = merged(recent, await arrival.engine.recorded_decision(ident, arrival.tenant))
        if record is None:
            raise Refused(_NO_DECISION)
        await send_json(out, record)

    async def _feedback(self, arrival: Arrival, out: Exchange) -> None:
        ident, feedback = control.read_feedback(await self._read(arrival))
        is_stored = await arrival.engine.add_feedback(ident, feedback, arrival.tenant)
        if not self._recent.add_feedback(ident, feedback, arrival.tenant) and not is_stored:
            raise Refused(_NO_DECISION)
        await send_json(out, {"decision_id": ident, **feedback})

    async def _health(self, arrival: Arrival, out: Exchange) -> None:
        del arrival
        await send_json(out, {"status": "ok"})

    async def _ready(self, arrival: Arrival, out: Exchange) -> None:
        """Ready means that a request would be taken, recorded, and answered by some model."""
        state = await self._readiness.state()
        body = {"status": state, "models": arrival.engine.callable_models()}
        await send_json(out, body, status=200 if state == READY else 503)

    async def _show_metrics(self, arrival: Arrival, out: Exchange) -> None:
        self._metrics.cooling(arrival.engine.cooling())
        await out.whole(200, [_TEXT], self._metrics.text())

    async def _openapi(self, arrival: Arrival, out: Exchange) -> None:
        del arrival
        await send_json(out, document())


async def _input_tokens(arrival: Arrival, dialect: ApiDialect, payload: object) -> int:
    inbound = await offload_if_long(arrival.body_bytes, dialect.read, payload)
    return await arrival.engine.input_tokens(arrival.request(dialect, inbound))


def _is_called(listed: Mapping[str, Any], name: str) -> bool:
    """Whether this is a listed entry's name, or a model's name or id in any case."""
    if "model" not in listed:
        return bool(listed["id"] == name)
    return name.casefold() in (listed["id"].casefold(), listed["model"].casefold())
