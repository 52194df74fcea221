"""Traces of requests in OpenTelemetry's terms: the one place that maps our nouns to theirs.

A server span a request, with a span for its decision and a client span for each call. Names follow
the semantic conventions for generative AI (opentelemetry.io/docs/specs/semconv/gen-ai); what they
have no word for is under ``turnout.``. Invariant: no prompt, no answer and no key is in a span; a
call has one as soon as it ends, whatever becomes of its request.
This module does not know HTTP; without it configured nothing of OpenTelemetry is imported.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from msgspec import Struct, structs

from turnout import __version__
from turnout.config import Config, environ_or_own
from turnout.core import ConfigError, Decision, Outcome, Request, usd
from turnout.core.extras import requiring_extra
from turnout.gateway.answer_headers import attempts_of
from turnout.runtime import Walk

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span

FLUSH_S = 3.0
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_RESOURCE = "OTEL_RESOURCE_ATTRIBUTES"
_PROTOCOL = "http/protobuf"
_LOG = logging.getLogger("turnout.gateway")
_LONGEST_NAME = 128

Attributes = dict[str, Any]
# Writes the span of a call for the request that the current task works on.
_WRITE_CALL: ContextVar[Callable[[Outcome], None] | None] = ContextVar("write_call", default=None)


def call_ended(outcome: Outcome) -> None:
    """Writes the span of a call, if its request is traced."""
    write = _WRITE_CALL.get()
    if write is not None:
        write(outcome)


def traces_of(config: Config, environ: Mapping[str, str] | None = None) -> "Traces | NoTraces":
    """What the configuration asks for, else the environment; ``NoTraces`` where neither does.

    Raises ConfigError, with the install line where the extra is missing. What the environment alone
    asks for, and cannot be had, is a line in the log.
    """
    section, environ = config.telemetry, environ_or_own(environ)
    configured = section.traces == "otlp" or section.endpoint is not None
    if section.traces == "off" or not (configured or is_requested_by(environ)):
        return NoTraces()
    try:
        return _otlp_traces(section.endpoint, environ)
    except ConfigError as error:
        if configured:
            raise
        _LOG.warning("no traces are sent", extra={"fields": {"problem": str(error)}})
        return NoTraces()


def is_requested_by(environ: Mapping[str, str]) -> bool:
    """Whether the standard variables ask for traces over OTLP.

    Source: opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables.
    """
    exporter = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    if disabled or exporter not in ("", "otlp"):
        return False
    return exporter == "otlp" or any(environ.get(name, "").strip() for name in _ENDPOINTS)


def _otlp_traces(endpoint: str | None, environ: Mapping[str, str]) -> "Traces":
    with requiring_extra("otel", "telemetry.traces: otlp needs an extra"):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    protocol = next(filter(None, (environ.get(name, "").strip() for name in _PROTOCOLS)), _PROTOCOL)
    if endpoint is None and protocol != _PROTOCOL:
        raise ConfigError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r}; traces go as {_PROTOCOL}, so set it to "
            "that and the endpoint to the collector's port for it (4318)"
        )
    has_service_name = "OTEL_SERVICE_NAME" in environ or "service.name=" in environ.get(
        _RESOURCE, ""
    )
    name = {} if has_service_name else {"service.name": "turnout"}
    resource = Resource.create({**name, "service.version": __version__})
    # Its own end, at exit, would wait half a minute for a collector that does not answer.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    # Without an endpoint of ours the standard variables hold.
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint)))
    return Traces(provider)


class Traced(Struct):
    """A request being traced: pass ``request`` on, and leave its walk here."""

    request: Request
    walk: Walk | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing is written: who traces has a context of its own around this."""


class NoTraces:
    """Traces nothing."""

    def request(self, request: Request) -> Traced:
        """The request as it is."""
        return Traced(request)

    def close(self) -> None:
        """Nothing is left to send."""


class Traces:
    """Writes spans to ``provider``."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("turnout")

    @contextmanager
    def request(self, request: Request) -> Iterator[Traced]:
        """The span of a request; its context goes upstream in place of the caller's."""
        from opentelemetry.trace import SpanKind, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = TraceContextTextMapPropagator()
        began_ns = time.time_ns()
        operation = "embeddings" if request.dialect == "embeddings" else "chat"
        span = self._tracer.start_span(
            operation,
            context=carrier.extract(request.tags),
            kind=SpanKind.SERVER,
            start_time=began_ns,
            attributes=_request_attributes(request, operation),
        )
        headers: dict[str, str] = {}
        carrier.inject(headers, _context(span))
        traced = Traced(structs.replace(request, tags={**request.tags, **headers}))
        writing = _WRITE_CALL.set(partial(self._call, span, operation))
        try:
            yield traced
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(StatusCode.ERROR)
            raise
        else:
            if traced.walk is not None and not traced.walk.complete:
                span.set_attribute("error.type", _error_type(traced.walk))
        finally:
            _WRITE_CALL.reset(writing)
            if traced.walk is not None:
                self._walk(span, traced.walk, began_ns, operation, request.model)
            span.end()

    def close(self) -> None:
        """Send what is left, as far as the collector takes it within a few seconds."""
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        thread.join(FLUSH_S)

    def _walk(self, span: "Span", walk: Walk, began_ns: int, operation: str, model: str) -> None:
        from opentelemetry.trace import StatusCode

        # Names of spans are to be few: only a model that there is has a walk, however spelled.
        span.update_name(f"{operation} {model.casefold()}")
        span.set_attributes(_answer_attributes(walk))
        if not walk.complete:
            span.set_status(StatusCode.ERROR)
        starts = [o.began_s for o in walk.outcomes if o.began_s is not None and o.is_answer]
        decided_ns = int((min(starts) + _wall_clock_offset_s()) * 1e9) if starts else time.time_ns()
        decision = self._tracer.start_span(
            "decide",
            context=_context(span),
            start_time=began_ns,
            attributes=_decision_attributes(walk.decision),
        )
        decision.end(end_time=max(began_ns, decided_ns))

    def _call(self, span: "Span", operation: str, outcome: Outcome) -> None:
        """The span of a call, within the request's."""
        from opentelemetry.trace import SpanKind, StatusCode

        if outcome.began_s is None:
            return
        start_ns = int((outcome.began_s + _wall_clock_offset_s()) * 1e9)
        call = self._tracer.start_span(
            f"{operation} {outcome.route.model}",
            context=_context(span),
            kind=SpanKind.CLIENT,
            start_time=start_ns,
            attributes=_call_attributes(outcome, operation),
        )
        if outcome.status == "failed":
            call.set_status(StatusCode.ERROR)
        call.end(end_time=start_ns + int(outcome.latency_ms * 1e6))


def _wall_clock_offset_s() -> float:
    """From the monotonic clock, which outcomes know, to the wall clock of spans."""
    return time.time() - time.monotonic()


def _context(span: "Span") -> Any:
    from opentelemetry.trace import set_span_in_context

    return set_span_in_context(span)


def _request_attributes(request: Request, operation: str) -> Attributes:
    body = request.body
    found: Attributes = {
        "gen_ai.operation.name": operation,
        "gen_ai.request.model": request.model[:_LONGEST_NAME],
        "gen_ai.request.max_tokens": request.max_output_tokens,
        "gen_ai.conversation.id": request.session,
        "turnout.request.id": request.id,
        "turnout.dialect": request.dialect,
    }
    for name in ("temperature", "top_p", "seed"):
        value = body.get(name)
        if isinstance(value, int | float):
            found[f"gen_ai.request.{name}"] = value
    choices = body.get("n")
    if isinstance(choices, int) and choices > 1:
        found["gen_ai.request.choice.count"] = choices
    return _without_none(found)


def _decision_attributes(decision: Decision) -> Attributes:
    return _without_none(
        {
            "turnout.decision.id": decision.id,
            "turnout.policy": decision.policy.name,
            "turnout.intent": decision.intent,
            "turnout.confidence": decision.confidence,
            "turnout.unsafe": decision.prediction.unsafe,
            "turnout.blocked": decision.blocked is not None,
            "turnout.candidates": len(decision.candidates),
            "turnout.model": decision.model,
            "turnout.bundle": decision.bundle or None,
        }
    )


def _answer_attributes(walk: Walk) -> Attributes:
    final = next((o for o in reversed(walk.outcomes) if o.is_answer), None)
    if final is None:
        return {"turnout.blocked": walk.decision.blocked is not None}
    return _without_none(
        {
            **_usage_attributes(final),
            "turnout.attempts": attempts_of(walk),
            "gen_ai.response.model": final.model,
            "turnout.answer.stopped": walk.stopped is not None or None,
        }
    )


def _error_type(walk: Walk) -> str:
    """What the last call came to, where the request came to no answer."""
    last = walk.outcomes[-1]
    return last.error.kind if last.error is not None else last.status


def _call_attributes(outcome: Outcome, operation: str) -> Attributes:
    fault = outcome.error
    found: Attributes = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": outcome.route.provider,
        "gen_ai.request.model": outcome.route.model,
        "gen_ai.response.model": outcome.model,
        "http.response.status_code": fault.status if fault else None,
        "error.type": fault.kind if fault else None,
        "turnout.role": outcome.route.role,
        "turnout.status": outcome.status,
        "turnout.cost_usd": usd(outcome.cost_pico_usd),
        "turnout.ttft_ms": outcome.ttft_ms,
    }
    return _without_none({**found, **_usage_attributes(outcome)})


def _usage_attributes(outcome: Outcome) -> Attributes:
    usage = outcome.usage
    found: Attributes = {
        "gen_ai.usage.input_tokens": usage.total_input,
        "gen_ai.usage.output_tokens": usage.total_output,
        "gen_ai.usage.cache_read.input_tokens": usage.cache_read or None,
        "gen_ai.usage.cache_creation.input_tokens": usage.cache_write or None,
    }
    if outcome.finish_reason:
        found["gen_ai.response.finish_reasons"] = (outcome.finish_reason,)
    return found


def _without_none(found: Mapping[str, Any]) -> Attributes:
    return {name: value for name, value in found.items() if value is not None}
