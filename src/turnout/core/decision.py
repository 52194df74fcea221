"""The decision: every candidate with its reason, and the plan to walk.

Invariant: a decision holds everything that is needed to explain it, and to make it again.
This module does not know how a decision is made or carried out.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field, structs

from turnout.core.exclusion import Exclusion
from turnout.core.money import format_usd
from turnout.core.prediction import Features, Prediction, Ref

# A draft becomes an answer when it is verified; verifier and classifier calls never become one.
Role = Literal["primary", "fallback", "draft", "verifier", "classifier"]


class Snapshot(Struct, frozen=True, kw_only=True):
    """Everything that changes with time and may influence a decision.

    ``as_of`` is in seconds since the epoch. The mappings are by deployment: ``unavailable`` says
    why it cannot take a request now, ``latency_ms`` is its median latency, ``outstanding`` the
    number of calls under way (where its model has several deployments), and ``cached_tokens`` how
    much of this prompt its provider is expected to have in its cache (0: it was seen to keep none).
    ``late_judges``, deployments or functions, are not asked for verdicts now, since theirs came too
    late.
    """

    as_of: float = 0.0
    version: int = 0
    unavailable: Mapping[str, Exclusion] = field(default_factory=dict)
    latency_ms: Mapping[str, float] = field(default_factory=dict)
    outstanding: Mapping[str, int] = field(default_factory=dict)
    cached_tokens: Mapping[str, int] = field(default_factory=dict)
    late_judges: tuple[str, ...] = ()


class Candidate(Struct, frozen=True):
    """One deployment as the decision saw it.

    ``model`` is the provider's id of the model. ``cost_pico_usd`` is the expected cost of the
    answer, ``quality`` its expected quality or P(success) in [0, 1], ``latency_ms`` the median of
    the latest answers; each is None where it is unknown. ``score`` and ``reason`` are the policy's,
    ``propensity`` is the probability in [0, 1] that the policy puts it first. ``excluded`` is why
    it was not eligible, None when it was.

    The cost counts ``cache_read_tokens`` and ``cache_write_tokens`` of the prompt at their own
    prices. ``cold_pico_usd`` is the cost with an empty cache; ``ranked_pico_usd`` is the cost it
    is ranked by when later turns are expected to read what this one writes to the cache. Both are
    None where they equal the cost.
    """

    deployment: str
    model: str
    cost_pico_usd: int | None = None
    quality: float | None = None
    latency_ms: float | None = None
    score: float | None = None
    propensity: float = 0.0
    reason: str = ""
    excluded: Exclusion | None = None
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cold_pico_usd: int | None = None
    ranked_pico_usd: int | None = None


class Route(Struct, frozen=True):
    """One step of the plan: the deployment to call, and its place in the order, from 0.

    ``model`` is the provider's id of the model, ``provider`` the provider's configured name. Routes
    with one ``quota`` share a rate limit; without a quota, those to one model at one provider do.
    """

    deployment: str
    model: str
    provider: str
    role: Role
    ordinal: int
    quota: str | None = None


class Decision(Struct, frozen=True, kw_only=True):
    """What to do with a request, and why.

    ``intent`` is the label that was routed on, ``confidence`` its probability in [0, 1].
    ``candidates`` are all deployments that were considered, ``routes`` is the plan, first to last,
    and ``bundle`` the hash of all rules that the decision depends on. When the request is refused,
    ``blocked`` is why, ``refusal`` the text to answer with, and there are no routes.
    """

    id: str
    request_id: str
    policy: Ref
    intent: str
    confidence: float
    reason: str
    features: Features
    prediction: Prediction
    candidates: tuple[Candidate, ...]
    routes: tuple[Route, ...]
    snapshot: Snapshot
    bundle: str = ""
    blocked: str | None = None
    refusal: str = ""

    @property
    def model(self) -> str | None:
        """The chosen model, or None when the request is refused."""
        return self.routes[0].model if self.routes else None

    @property
    def deployment(self) -> str | None:
        """The chosen deployment, or None when the request is refused."""
        return self.routes[0].deployment if self.routes else None

    @property
    def expected_cost_pico_usd(self) -> int | None:
        """Expected cost of the chosen route; 0 when refused, None when the price is unknown."""
        return self.candidate_at(self.routes[0].deployment).cost_pico_usd if self.routes else 0

    def candidate_at(self, deployment: str) -> Candidate:
        """The candidate at a deployment that was considered."""
        return next(c for c in self.candidates if c.deployment == deployment)

    def explain(self) -> str:
        """The decision in words, a line for each candidate, for people to read."""
        chosen = self.model or ("blocked" if self.blocked else "refused")
        head = f"{self.intent} ({self.confidence:.2f}) → {chosen}: {self.reason}"
        by = f"policy {self.policy.name}, classifier {self.prediction.classifier.name}"
        predictor = self.prediction.predictor
        if predictor is not None:
            by += f", predictor {predictor.digest[:19]}"
        lines = [head, f"{by}, bundle {self.bundle[:19]}" if self.bundle else by]
        if self.features.kind != "turn":
            lines.append(f"call kind {self.features.kind}")
        if self.prediction.unsafe is not None:
            lines.append(f"unsafe score {self.prediction.unsafe:.4f}")
        if self.prediction.label_failure:
            lines.append(f"label classifier: {self.prediction.label_failure}")
        likely = any(c.quality is not None for c in self.candidates)
        lines += [_candidate_line(c, likely=likely) for c in self.candidates]
        lines += [f"route {r.ordinal}: {r.model} ({r.role})" for r in self.routes]
        return "\n".join(lines)

    def as_dict(self) -> dict[str, Any]:
        """The decision as JSON-ready values."""
        features, prediction = structs.asdict(self.features), structs.asdict(self.prediction)
        features["modalities"] = sorted(self.features.modalities)
        prediction["classifier"] = structs.asdict(self.prediction.classifier)
        predictor = self.prediction.predictor
        prediction["predictor"] = None if predictor is None else structs.asdict(predictor)
        prediction["intents"] = dict(self.prediction.intents)
        prediction["unsafe"] = self.prediction.unsafe
        return {
            **structs.asdict(self),
            "policy": structs.asdict(self.policy),
            "features": features,
            "prediction": prediction,
            "candidates": [_candidate_dict(c) for c in self.candidates],
            "routes": [structs.asdict(r) for r in self.routes],
            "snapshot": {
                **structs.asdict(self.snapshot),
                "unavailable": {name: str(why) for name, why in self.snapshot.unavailable.items()},
            },
            "model": self.model,
        }


def _candidate_dict(candidate: Candidate) -> dict[str, Any]:
    excluded = candidate.excluded
    return {**structs.asdict(candidate), "excluded": None if excluded is None else str(excluded)}


def _candidate_line(candidate: Candidate, *, likely: bool) -> str:
    """The candidate in words, with its P(success) if that of any candidate is known."""
    if candidate.excluded:
        return f"  {candidate.model}: excluded, {candidate.excluded}"
    cost = format_usd(candidate.cost_pico_usd) + _cache_notes(candidate)
    quality = "unknown" if candidate.quality is None else f"{candidate.quality:.2f}"
    success = f", P(success) {quality}" if likely else ""
    note = f", {candidate.reason}" if candidate.reason else ""
    return f"  {candidate.model}: expected cost {cost}{success}{note}"


def _cache_notes(candidate: Candidate) -> str:
    """How the prompt is priced, where a cache matters."""
    read, written = candidate.cache_read_tokens, candidate.cache_write_tokens
    found = [f"{read:,} tokens read from its cache"] if read else []
    if written:
        found.append(f"{written:,} tokens written to {'it' if read else 'its cache'}")
    if candidate.cold_pico_usd is not None:
        found.append(f"{format_usd(candidate.cold_pico_usd)} with a cold one")
    if candidate.ranked_pico_usd is not None:
        found.append(f"ranked as {format_usd(candidate.ranked_pico_usd)} for the turns to come")
    return f" ({', '.join(found)})" if found else ""
