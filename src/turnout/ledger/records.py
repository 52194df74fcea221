"""A decision as a compact record, and back: enough to explain it and to make it again.

The record holds the inputs of ``decide`` from a request (not its text), and the result. It is a
JSON array by position; a long one is deflated, and then starts with a byte that no JSON has.
Candidates and routes are recorded by their fields in order: a new field goes last.

Invariant: unpacking a record and packing it again gives the same bytes. No text, no embedding.
"""

import zlib
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any

import orjson
from msgspec import structs

from turnout.core import (
    Caller,
    Candidate,
    ConfigError,
    Constraints,
    Decision,
    Exclusion,
    Features,
    Prediction,
    Ref,
    Request,
    Route,
    Snapshot,
)

VERSION = 1
# Deflating takes longer than the rest of a record's work, and releases the interpreter.
_LONG = 1_500
_DEFLATED = b"z"
_LEVEL = 3
_EXCLUDED = Candidate.__struct_fields__.index("excluded")
_CACHE_CLASSES = 4


def pack(request: Request, decision: Decision) -> bytes:
    """The record of a decision on ``request``."""
    text = orjson.dumps(
        [
            VERSION,
            decision.id,
            _request(request),
            _features(decision.features),
            _prediction(decision.prediction),
            _snapshot(decision.snapshot),
            decision.bundle,
            _ref(decision.policy),
            decision.intent,
            decision.confidence,
            decision.reason,
            decision.blocked,
            decision.refusal,
            [_candidate(c) for c in decision.candidates],
            [_route(r) for r in decision.routes],
        ]
    )
    return text if len(text) <= _LONG else _DEFLATED + zlib.compress(text, _LEVEL)


def unpack(record: bytes) -> tuple[Request, Decision]:
    """The request without its text, and the decision.

    Raises ConfigError when the record is damaged or of another version.
    """
    try:
        return _unpack(bytes(record))
    except (orjson.JSONDecodeError, zlib.error, ValueError, TypeError, IndexError) as error:
        raise ConfigError(f"a decision's record cannot be read ({error})") from error


def _unpack(record: bytes) -> tuple[Request, Decision]:
    text = zlib.decompress(record[1:]) if record.startswith(_DEFLATED) else record
    (
        version,
        id_,
        request_fields,
        feature_fields,
        prediction_fields,
        snapshot_fields,
        bundle,
        policy,
        *result,
        candidates,
        routes,
    ) = orjson.loads(text)
    if version != VERSION:
        raise ValueError(f"version {version}, this program reads {VERSION}")
    request = _as_request(request_fields)
    intent, confidence, reason, blocked, refusal = result
    return request, Decision(
        id=id_,
        request_id=request.id,
        policy=_as_ref(policy),
        intent=intent,
        confidence=confidence,
        reason=reason,
        features=_as_features(feature_fields),
        prediction=_as_prediction(prediction_fields),
        candidates=tuple(map(_as_candidate, candidates)),
        routes=tuple(Route(*fields) for fields in routes),
        snapshot=_as_snapshot(snapshot_fields),
        bundle=bundle,
        blocked=blocked,
        refusal=refusal,
    )


def _request(request: Request) -> list[Any]:
    limits = request.constraints
    return [
        request.id,
        request.model,
        request.max_output_tokens,
        [
            limits.max_cost_pico_usd,
            limits.max_latency_ms,
            limits.quality,
            None if limits.allow is None else sorted(limits.allow),
            sorted(limits.deny),
            *_without_defaults(
                (limits.most_pico_usd, limits.most_tokens, limits.drafts), _LIMIT_DEFAULTS
            ),
        ],
        request.session,
        request.tenant,
        dict(request.tags),
        *_without_defaults(
            (request.choices, _caller_names(request), list(request.models)), _REQUEST_DEFAULTS
        ),
    ]


# What few requests have, with the values of those that lack it.
_LIMIT_DEFAULTS: tuple[Any, ...] = (None, None, True)
_REQUEST_DEFAULTS: tuple[Any, ...] = (1, [], [])
_NO_PREDICTOR: tuple[Any, ...] = (None, None)
_USUAL_SNAPSHOT: tuple[Any, ...] = ({}, {}, [])


def _without_defaults(fields: tuple[Any, ...], defaults: tuple[Any, ...]) -> tuple[Any, ...]:
    """The fields without the defaults at their end."""
    end = 0 if fields == defaults else len(fields)
    while end and fields[end - 1] == defaults[end - 1]:
        end -= 1
    return fields[:end]


def _caller_names(request: Request) -> list[str]:
    """What limits by key may call the caller, but for what its tenant says already."""
    if (caller := request.caller) is None:
        return []
    own = request.tenant.partition(":")[2] if request.tenant else ""
    names = dict.fromkeys((caller.key, *caller.names, *caller.keys))
    return [name for name in names if name and name != own]


def _as_caller(names: list[str]) -> Caller | None:
    return Caller(key=names[0], keys=tuple(names[1:])) if names else None


def _as_request(fields: list[Any]) -> Request:
    id_, model, cap, limits, session, tenant, tags, *rare = fields
    cost, latency, quality, allow, deny, *bounds = list(limits)
    most_pico_usd, most_tokens, drafts = [*bounds, *_LIMIT_DEFAULTS[len(bounds) :]]
    choices, names, models = [*rare, *_REQUEST_DEFAULTS[len(rare) :]]
    options = {"max_tokens": cap, "n": choices if choices > 1 else None}
    return Request(
        id=id_,
        body={
            "messages": (),
            **{name: value for name, value in options.items() if value is not None},
        },
        model=model,
        constraints=Constraints(
            max_cost_pico_usd=cost,
            max_latency_ms=latency,
            quality=quality,
            allow=None if allow is None else frozenset(allow),
            deny=frozenset(deny),
            most_pico_usd=most_pico_usd,
            most_tokens=most_tokens,
            drafts=drafts,
        ),
        session=session,
        tenant=tenant,
        caller=_as_caller(names),
        tags=tags,
        models=tuple(models),
    )


# The rare features in the order of the record, with the values that most requests have.
_RARE_FEATURES: Mapping[str, Any] = {
    "written": {},
    "hour_cache": False,
    "hosted": (),
    "paid_by_call": False,
    "kind": "turn",
    "uncounted": 0,
    "marked": False,
    "answers": 0,
    "searches": 0,
    "wants_audio": False,
    "unlisted": {},
}
_RARE_DEFAULTS = tuple(_RARE_FEATURES.values())
_rare_of = attrgetter(*_RARE_FEATURES)


def _features(features: Features) -> list[Any]:
    always = [
        dict(sorted(features.input_tokens.items())),
        features.output_tokens,
        features.turns,
        features.characters,
        sorted(features.modalities),
        features.needs_tools,
        features.needs_json,
        features.schema,
    ]
    # Fields that most requests lack are left out from the end on.
    return [*always, *_without_defaults(_rare_of(features), _RARE_DEFAULTS)]


def _as_features(fields: list[Any]) -> Features:
    tokens, output, turns, characters, modalities, tools, json, schema, *rare = fields
    rare_fields = dict(zip(_RARE_FEATURES, rare, strict=False))
    if "hosted" in rare_fields:
        rare_fields["hosted"] = tuple(rare_fields["hosted"])
    return Features(
        input_tokens=tokens,
        output_tokens=output,
        turns=turns,
        characters=characters,
        modalities=frozenset(modalities),
        needs_tools=tools,
        needs_json=json,
        schema=schema,
        **rare_fields,
    )


def _prediction(prediction: Prediction) -> list[Any]:
    predictor = prediction.predictor
    return [
        _ref(prediction.classifier),
        prediction.intents,
        prediction.harm,
        prediction.injection,
        prediction.language,
        prediction.label,
        prediction.label_failure,
        dict(prediction.success),
        *_without_defaults((prediction.strange, predictor and _ref(predictor)), _NO_PREDICTOR),
    ]


def _as_prediction(fields: list[Any]) -> Prediction:
    classifier, intents, harm, injection, language, label, failure, success, *rest = fields
    strange, predictor = *rest, *_NO_PREDICTOR[len(rest) :]
    return Prediction(
        classifier=_as_ref(classifier),
        intents=tuple((name, probability) for name, probability in intents),
        harm=harm,
        injection=injection,
        language=language,
        label=label,
        label_failure=failure,
        success=success,
        strange=strange,
        predictor=predictor and _as_ref(predictor),
    )


def _snapshot(snapshot: Snapshot) -> list[Any]:
    unavailable = {name: _exclusion(exclusion) for name, exclusion in snapshot.unavailable.items()}
    always = [snapshot.as_of, snapshot.version, unavailable, dict(snapshot.latency_ms)]
    rare = dict(snapshot.outstanding), dict(snapshot.cached_tokens), list(snapshot.late_judges)
    return [*always, *_without_defaults(rare, _USUAL_SNAPSHOT)]


def _as_snapshot(fields: list[Any]) -> Snapshot:
    as_of, version, unavailable, latency_ms, *rest = fields
    outstanding, cached_tokens, late_judges = *rest, *_USUAL_SNAPSHOT[len(rest) :]
    return Snapshot(
        as_of=as_of,
        version=version,
        unavailable={name: _as_exclusion(exclusion) for name, exclusion in unavailable.items()},
        latency_ms=latency_ms,
        outstanding=outstanding,
        cached_tokens=cached_tokens,
        late_judges=tuple(late_judges),
    )


def _candidate(candidate: Candidate) -> Sequence[Any]:
    fields = structs.astuple(candidate)
    if candidate.excluded is not None:
        fields = *fields[:_EXCLUDED], _exclusion(candidate.excluded), *fields[_EXCLUDED + 1 :]
    # Without cache classes if the prompt is billed as fresh, as most are.
    return fields if any(fields[-_CACHE_CLASSES:]) else fields[:-_CACHE_CLASSES]


def _as_candidate(fields: list[Any]) -> Candidate:
    if fields[_EXCLUDED] is not None:
        fields[_EXCLUDED] = _as_exclusion(fields[_EXCLUDED])
    return Candidate(*fields)


def _exclusion(exclusion: Exclusion) -> list[Any] | str:
    """Its fields, without those at the end that most lack; the text alone if there is no more."""
    if exclusion.kind == "unstated":
        return exclusion.detail
    fields = list(structs.astuple(exclusion))
    while fields[-1] is None:
        fields.pop()
    return fields


def _as_exclusion(fields: list[Any] | str) -> Exclusion:
    return Exclusion("unstated", fields) if isinstance(fields, str) else Exclusion(*fields)


def _route(route: Route) -> Sequence[Any]:
    # Without fields that most routes lack.
    fields = structs.astuple(route)
    return fields if route.quota else fields[:-1]


def _ref(ref: Ref) -> list[str]:
    return [ref.name, ref.version, ref.digest]


def _as_ref(fields: list[str]) -> Ref:
    name, version, digest = fields
    return Ref(name=name, version=version, digest=digest)
