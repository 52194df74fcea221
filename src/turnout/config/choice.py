"""What decides where a request goes: intents, classifier, safety, policy and knobs."""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from turnout.config.section import Hour, Name, Seconds, Section, Share, Weight, off_if_false
from turnout.core import CallKind


class IntentSection(Section):
    """Where an intent goes; with ``examples`` it is one of the user's own.

    ``threshold`` overrides the out-of-scope threshold that is derived from the examples.
    """

    model: Name
    description: str = ""
    examples: tuple[str, ...] = ()
    threshold: Share | None = None


class BandSection(Section):
    """When a hybrid asks: below ``confidence``, or from this share of the block's threshold."""

    confidence: Share = 0.6
    unsafe: Share = 0.3


class ClassifierSection(Section):
    """How the intent is found: the local artefact, a model asked for a label, or both.

    A hybrid asks the model only if the local verdict is in ``band``. ``calibration`` is the file
    that ``turnout calibrate --save`` wrote.
    """

    kind: Literal["local", "llm", "hybrid"] = "local"
    model: Name | None = None
    deadline_s: Seconds | None = None
    band: BandSection = BandSection()
    artefact: Name | None = None
    calibration: Name | None = None

    @model_validator(mode="after")
    def _check_model(self) -> Self:
        if self.kind != "local" and self.model is None:
            raise ValueError(f"kind {self.kind} needs model: the name of the model to ask")
        return self

    @property
    def label_deadline_s(self) -> float:
        """The seconds that a label may take; fewer for a hybrid, which has the local verdict."""
        return self.deadline_s or (0.5 if self.kind == "hybrid" else 2.0)


class SafetySection(Section):
    """When a request is refused; without a threshold the classifier's own applies.

    ``pinned: pass`` lets requests that name a model pass unread, for trusted callers.
    ``answers: scan`` judges answers like requests; a stream then holds back ``hold_tokens``.
    ``unread: block`` refuses images, sound, video and files, which no local classifier
    reads.
    """

    threshold: Share | None = None
    pinned: Literal["scan", "pass"] = "scan"
    unread: Literal["pass", "block"] = "pass"
    answers: Annotated[Literal["off", "scan"], BeforeValidator(off_if_false)] = "off"
    hold_tokens: Annotated[int, Field(ge=1, le=4096)] = 64


class VerifySection(Section):
    """How a cascade's draft is verified.

    ``model`` is the judge that is asked for a yes; ``schema`` must fit in addition to the request's
    own format; ``at_least`` is the least mean probability of tokens; ``function`` is the user's
    ``module:name``, called with the messages and the answer's text.
    """

    kind: Literal["model", "schema", "logprobs", "function"]
    model: Name | None = None
    json_schema: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    at_least: Share = 0.9
    function: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")] | None = None
    deadline_s: Seconds = 10.0

    @model_validator(mode="after")
    def _check_verifier(self) -> Self:
        for kind, value in (("model", self.model), ("function", self.function)):
            if self.kind == kind and value is None:
                raise ValueError(f"verify kind {kind} needs {kind}: what verifies a draft")
        return self


class RuleSection(Section):
    """One rule: if everything that it names matches, ``model`` answers.

    ``tags`` are compared with the request's ``metadata``; ``hours`` are (from, to) in the
    policy's time zone; ``kind`` is what the call is for.
    """

    name: Name
    model: Name
    keywords: tuple[Name, ...] = ()
    pattern: str | None = None
    tags: dict[str, str] = {}
    hours: tuple[Hour, Hour] | None = None
    kind: CallKind | None = None

    @field_validator("pattern")
    @classmethod
    def _check_pattern(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return pattern

    @field_validator("hours")
    @classmethod
    def _check_hours(cls, hours: tuple[float, float] | None) -> tuple[float, float] | None:
        if hours is not None and hours != (0.0, 24.0) and hours[0] % 24 == hours[1] % 24:
            raise ValueError("from and to are one time, which is never; leave it out for always")
        return hours


PolicyName = Literal[
    "intent_map",
    "fixed",
    "cheapest",
    "strongest",
    "random",
    "cheapest_above_quality",
    "utility",
    "weighted",
    "cascade",
    "rules",
]


class PolicySection(Section):
    """The rule that chooses; ``model`` is the one of ``fixed``.

    ``bundle`` is the folder of a success predictor; ``quality`` a share of the best single model's
    quality, ``lost`` a share of requests that may lose quality, ``per_usd`` and ``per_second`` the
    quality that a dollar and a second of waiting are worth, ``weights`` the shares of ``weighted``
    by model, and ``split`` what is drawn for them. ``explore`` is the share of the sessions for
    which a model is drawn instead. ``steady`` is the margin by which
    ``cheapest_above_quality`` prefers the usual model on strange prompts. ``output_quantile`` is
    the quantile of an answer's predicted length that counts for its expected cost. ``prompt_caches:
    off`` counts every prompt as uncached. ``steps`` and ``verify`` are those of a cascade;
    ``rules``, whose hours are in ``timezone``, UTC without it, come before the policy named
    ``otherwise``.
    """

    name: PolicyName = "intent_map"
    model: Name | None = None
    bundle: Name | None = None
    quality: Share | None = None
    lost: Share | None = None
    steady: Annotated[float, Field(ge=0, le=1)] = 0.0
    output_quantile: Annotated[float, Field(ge=0.1, le=0.95)] = 0.5
    per_usd: Weight = 0.0
    per_second: Weight = 0.0
    weights: dict[str, Weight] = {}
    split: Literal["session", "request"] = "session"
    explore: Share = 0.0
    prompt_caches: Annotated[Literal["priced", "off"], BeforeValidator(off_if_false)] = "priced"
    steps: Annotated[int, Field(ge=1, le=10)] = 3
    verify: VerifySection | None = None
    rules: tuple[RuleSection, ...] = ()
    timezone: Name | None = None
    otherwise: PolicyName = "intent_map"

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, name: str | None) -> str | None:
        if name is None:
            return None
        from zoneinfo import ZoneInfo

        try:
            return ZoneInfo(name).key
        except (KeyError, ValueError, OSError) as error:
            fix = "use a name like Europe/Berlin; without zones on this machine: pip install tzdata"
            raise ValueError(f"not a time zone of the IANA database; {fix}") from error

    @property
    def policy_names(self) -> tuple[str, ...]:
        """The policies that this section makes: its own, and the one below its rules."""
        return (self.name, self.otherwise) if self.name == "rules" else (self.name,)

    @model_validator(mode="after")
    def _check_settings(self) -> Self:
        if "fixed" in self.policy_names and self.model is None:
            raise ValueError("policy fixed needs model: the name of the model to use")
        if "weighted" in self.policy_names and not any(self.weights.values()):
            raise ValueError("policy weighted needs weights: {model: share}, one above 0 at least")
        if self.steady and not (self.bundle and "cheapest_above_quality" in self.policy_names):
            raise ValueError("policy steady needs cheapest_above_quality and bundle: a folder")
        if "cascade" in self.policy_names and self.verify is None:
            raise ValueError("policy cascade needs verify: {kind: model, model: NAME} or another")
        if self.name == "rules" and not self.rules:
            raise ValueError("policy rules needs rules: a list of {name, model, keywords}")
        if self.otherwise == "rules":
            raise ValueError("otherwise is the policy below the rules; name another one")
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            raise ValueError("two rules have one name; give each its own")
        return self


class KnobSection(Section):
    """The limits that a request's choice must meet.

    A share of the best single model's quality, and the most dollars and milliseconds that the
    answer may be expected to cost and to take.
    """

    quality: Share | None = None
    max_cost_usd: Annotated[Decimal | None, Field(ge=0, le=10**6, allow_inf_nan=False)] = None
    max_latency_ms: Annotated[float | None, Field(gt=0)] = None


class KnobsSection(Section):
    """Knobs for all requests, by intent, and by the name of a key or a team."""

    all: KnobSection = KnobSection()
    intents: dict[str, KnobSection] = {}
    keys: dict[str, KnobSection] = {}
