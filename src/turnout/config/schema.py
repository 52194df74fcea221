"""The shape of ``turnout.yaml``: every key there is, with its type and default.

Invariant: unknown keys are errors, and a validated configuration is frozen.
This module does not know files, the environment, presets or classes of other rooms.
"""

import re
from decimal import Decimal
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

Name = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(gt=0)]
Hour = Annotated[float, Field(ge=0, le=24)]
UsdPerMtok = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]


def _callable(url: str) -> str:
    parts = urlsplit(url)
    if url == "embedded://" or (
        parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    ):
        return url
    raise ValueError("use a URL such as https://api.example.com/v1")


BaseUrl = Annotated[str, AfterValidator(_callable)]


def _off(value: object) -> object:
    # YAML reads a bare off as false.
    return "off" if value is False else value


class Section(BaseModel):
    """Base of every section."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PriceSection(Section):
    """A price in USD per million tokens, with where and when it was read."""

    input: UsdPerMtok
    output: UsdPerMtok
    cache_read: UsdPerMtok | None = None
    cache_write: UsdPerMtok | None = None
    source: str = "turnout.yaml"
    date: str = "undated"
    assumed: bool = False


class ProviderSection(Section):
    """Who is called: a preset, or any base URL that speaks OpenAI's or Anthropic's API.

    ``on_disconnect`` says what becomes of a call whose caller leaves: ``cancel`` it, or ``drain``
    it for up to ``drain_s`` where the provider bills it to its end anyway.
    """

    preset: Name | None = None
    base_url: BaseUrl | None = None
    api_key: str | None = None
    family: Literal["openai", "anthropic", "embedded"] | None = None
    headers: dict[str, str] = {}
    json_schema: bool | None = None
    on_disconnect: Literal["cancel", "drain"] = "cancel"
    drain_s: Seconds = 30.0


class DeploymentSection(Section):
    """One of several places where a model is called; what is left out is as for the model.

    ``weight`` is its share; deployments of one ``quota`` are limited together by their provider.
    """

    provider: Name | None = None
    base_url: BaseUrl | None = None
    api_key: str | None = None
    model: Name | None = None
    price: PriceSection | Literal["unknown"] | None = None
    weight: Annotated[float, Field(gt=0)] = 1.0
    quota: Name | None = None


class ModelSection(Section):
    """One model that can be called; what is left out comes from the preset.

    ``kind: embedding`` is one that gives vectors and is never asked to answer.
    ``deployments`` are its places where there is more than one, ``balance`` how they share load.
    """

    model: Name
    kind: Literal["chat", "embedding"] = "chat"
    deployments: tuple[DeploymentSection, ...] = ()
    balance: Literal["least_outstanding", "weighted"] = "least_outstanding"
    provider: Name | None = None
    price: PriceSection | Literal["unknown"] | None = None
    context_window: Annotated[int, Field(gt=0)] | None = None
    max_output: Annotated[int, Field(gt=0)] | None = None
    tools: bool | None = None
    json_output: Annotated[bool | None, Field(alias="json")] = None
    modalities: tuple[Literal["text", "image", "audio", "file"], ...] | None = None
    tokenizer: Name | None = None
    quality: Share | None = None


class IntentSection(Section):
    """Where an intent goes; with ``examples`` it is one of the user's own.

    ``threshold`` overrides the out-of-scope threshold that is worked out from the examples.
    """

    model: Name
    description: str = ""
    examples: tuple[str, ...] = ()
    threshold: Share | None = None


class BandSection(Section):
    """When a hybrid asks: at less ``confidence``, or at this share of the block's threshold."""

    confidence: Share = 0.6
    unsafe: Share = 0.3


class ClassifierSection(Section):
    """How the intent is found: the local artefact, a model asked for a label, or both.

    A hybrid asks the model only where the local verdict lies in ``band``. ``calibration`` is the
    file that ``turnout calibrate --save`` wrote.
    """

    kind: Literal["local", "llm", "hybrid"] = "local"
    model: Name | None = None
    deadline_s: Seconds | None = None
    band: BandSection = BandSection()
    artefact: Name | None = None
    calibration: Name | None = None

    @model_validator(mode="after")
    def _names_its_model(self) -> Self:
        if self.kind != "local" and self.model is None:
            raise ValueError(f"kind {self.kind} needs model: the name of the model to ask")
        return self

    @property
    def patience_s(self) -> float:
        """How long a label is waited for; a hybrid has spent its patience on the local verdict."""
        return self.deadline_s or (0.5 if self.kind == "hybrid" else 2.0)


class SafetySection(Section):
    """When a request is refused; without a threshold the classifier's own applies.

    ``pinned: pass`` lets requests that name a model pass unread, for callers trusted to do so.
    ``answers: scan`` has answers judged as requests are; a stream then holds back ``hold_tokens``.
    ``unread: block`` refuses images, sound and files, which the local classifier does not read.
    """

    threshold: Share | None = None
    pinned: Literal["scan", "pass"] = "scan"
    unread: Literal["pass", "block"] = "pass"
    answers: Annotated[Literal["off", "scan"], BeforeValidator(_off)] = "off"
    hold_tokens: Annotated[int, Field(ge=1, le=4096)] = 64


class VerifySection(Section):
    """How a cascade's draft is verified.

    ``model`` is asked for a yes; ``schema`` must fit besides what the request asks for;
    ``at_least`` is the tokens' mean probability; ``function`` is one's own ``module:name``, called
    with the messages and the answer's text.
    """

    kind: Literal["model", "schema", "logprobs", "function"]
    model: Name | None = None
    json_schema: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    at_least: Share = 0.9
    function: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")] | None = None
    deadline_s: Seconds = 10.0

    @model_validator(mode="after")
    def _says_by_what(self) -> Self:
        for kind, value in (("model", self.model), ("function", self.function)):
            if self.kind == kind and value is None:
                raise ValueError(f"verify kind {kind} needs {kind}: what verifies a draft")
        return self


class RuleSection(Section):
    """One rule: all that it names must match; then ``model`` answers.

    ``tags`` are compared with the request's ``metadata``; ``hours`` are (from, to) in UTC.
    """

    name: Name
    model: Name
    keywords: tuple[Name, ...] = ()
    pattern: str | None = None
    tags: dict[str, str] = {}
    hours: tuple[Hour, Hour] | None = None

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        return pattern


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
    by model. ``steady`` is the margin by which ``cheapest_above_quality`` keeps to the usual model
    on strange prompts. ``output_quantile`` is the quantile of an answer's predicted length that its
    expected cost counts. ``steps`` and ``verify`` are those of a cascade; ``rules`` come before the
    policy named ``otherwise``.
    """

    name: PolicyName = "intent_map"
    model: Name | None = None
    bundle: Name | None = None
    quality: Share | None = None
    lost: Share | None = None
    steady: Annotated[float, Field(ge=0, le=1)] = 0.0
    output_quantile: Annotated[float, Field(ge=0.1, le=0.95)] = 0.5
    per_usd: Annotated[float, Field(ge=0)] = 0.0
    per_second: Annotated[float, Field(ge=0)] = 0.0
    weights: dict[str, Annotated[float, Field(ge=0)]] = {}
    steps: Annotated[int, Field(ge=1, le=10)] = 3
    verify: VerifySection | None = None
    rules: tuple[RuleSection, ...] = ()
    otherwise: PolicyName = "intent_map"

    @property
    def used(self) -> tuple[str, ...]:
        """The policies that this section makes: its own, and the one below its rules."""
        return (self.name, self.otherwise) if self.name == "rules" else (self.name,)

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> Self:
        if "fixed" in self.used and self.model is None:
            raise ValueError("policy fixed needs model: the name of the model to use")
        if "weighted" in self.used and not any(self.weights.values()):
            raise ValueError("policy weighted needs weights: a share for each model")
        if self.steady and not (self.bundle and "cheapest_above_quality" in self.used):
            raise ValueError("policy steady needs cheapest_above_quality and bundle: a folder")
        if "cascade" in self.used and self.verify is None:
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
    """What is asked of a request's choice.

    A share of the best single model's quality, and at most so many dollars and milliseconds that
    the answer is expected to cost and to take.
    """

    quality: Share | None = None
    max_cost_usd: Annotated[Decimal | None, Field(ge=0, le=10**6, allow_inf_nan=False)] = None
    max_latency_ms: Annotated[float | None, Field(gt=0)] = None


class KnobsSection(Section):
    """Knobs for all requests, by intent, and by the name of a key or a team."""

    all: KnobSection = KnobSection()
    intents: dict[str, KnobSection] = {}
    keys: dict[str, KnobSection] = {}


class TimeoutSection(Section):
    """Deadlines in seconds.

    After ``hold_s`` the caller of a stream that has not begun is sent signs of life; None: never.
    """

    hold_s: Seconds | None = None
    connect_s: Seconds = 5.0
    first_token_s: Seconds = 30.0
    inter_token_s: Seconds = 20.0
    total_s: Seconds = 600.0


class RetrySection(Section):
    """How patiently a model is tried again before the next one."""

    retries: Annotated[int, Field(ge=0, le=10)] = 1
    base_s: Seconds = 0.5
    cap_s: Seconds = 8.0
    longest_wait_s: Seconds = 20.0


class HealthSection(Section):
    """When a model that fails is left alone, and how many calls it gets at a time."""

    failures: Annotated[int, Field(ge=1)] = 5
    cooldown_s: Seconds = 5.0
    longest_s: Seconds = 300.0
    lasting_s: Seconds = 60.0
    spend_limit_s: Seconds | None = None
    retry_share: Share = 0.1
    retry_reserve: Annotated[float, Field(ge=0)] = 3.0
    max_in_flight: Annotated[int, Field(ge=1)] = 1000


class TelemetrySection(Section):
    """Where traces go: to ``endpoint``, else where the OTEL_* variables say.

    Without either of them, and without ``traces: otlp``, there are none; ``off`` means none at all.
    """

    traces: Annotated[Literal["off", "otlp"] | None, BeforeValidator(_off)] = None
    endpoint: Annotated[str, Field(pattern=r"^https?://[^\s/]")] | None = None


class ServeSection(Section):
    """What the gateway alone needs: the web origins whose pages may call it."""

    origins: tuple[Name, ...] = ()


class BudgetSection(Section):
    """At most so many dollars, requests or tokens in each window of UTC.

    ``per`` says for whom; without ``name`` each of them has such a budget. ``when_full: cheaper``
    decides again among the models that fit, before the request is refused.
    """

    per: Literal["all", "team", "key", "session", "model"]
    name: Name | None = None
    window: Literal["minute", "hour", "day", "week", "month", "total"]
    usd: Annotated[Decimal | None, Field(ge=0, le=10**6, allow_inf_nan=False)] = None
    requests: Annotated[int | None, Field(ge=0, le=10**15)] = None
    tokens: Annotated[int | None, Field(ge=0, le=10**15)] = None
    when_full: Literal["refuse", "cheaper"] = "refuse"

    @property
    def amount(self) -> tuple[Literal["usd", "requests", "tokens"], Decimal]:
        """The unit that is given, and how much of it."""
        if self.usd is not None:
            return "usd", self.usd
        if self.requests is not None:
            return "requests", Decimal(self.requests)
        return "tokens", Decimal(self.tokens or 0)

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        if [self.usd, self.requests, self.tokens].count(None) != 2:
            raise ValueError("a budget needs exactly one of usd, requests and tokens")
        if self.per == "all" and self.name is not None:
            raise ValueError("a budget per all takes no name; it is one for everybody")
        return self


class CacheSection(Section):
    """Exact answers kept for ``ttl_s`` seconds, each tenant's own; 0 keeps none.

    ``most_bytes`` is what they may take in each process.
    """

    ttl_s: Annotated[float, Field(ge=0, le=31_536_000)] = 0.0
    most_bytes: Annotated[int, Field(ge=0)] = 64 * 2**20


class Config(Section):
    """The whole configuration. ``intents`` maps a label to where it goes.

    ``ledger`` is a path, a ``postgresql://`` URL or ``off``; without it the user's data folder.
    """

    provider: Name | None = None
    providers: dict[str, ProviderSection] = {}
    models: Annotated[dict[str, ModelSection], Field(min_length=1)]
    intents: dict[str, IntentSection] = {}
    default: Name
    embeddings: Name | None = None
    refusal: str = "I can't help with that."
    fallbacks: dict[str, tuple[Name, ...]] = {}
    policy: PolicySection = PolicySection()
    knobs: KnobsSection | None = None
    classifier: ClassifierSection = ClassifierSection()
    safety: SafetySection = SafetySection()
    timeouts: TimeoutSection = TimeoutSection()
    retries: RetrySection = RetrySection()
    health: HealthSection = HealthSection()
    telemetry: TelemetrySection = TelemetrySection()
    serve: ServeSection = ServeSection()
    aliases: dict[str, Name] = {}
    budgets: tuple[BudgetSection, ...] = ()
    cache: CacheSection = CacheSection()
    ledger: Annotated[Name | None, BeforeValidator(_off)] = None

    @model_validator(mode="before")
    @classmethod
    def _shorthands(cls, data: Any) -> Any:
        return expand(data) if isinstance(data, dict) else data

    @property
    def routes(self) -> dict[str, str]:
        """The model's name, or ``block``, of every label."""
        return {label: intent.model for label, intent in self.intents.items()}


BLOCK = "block"


def expand(data: dict[str, Any]) -> dict[str, Any]:
    """The configuration with its shorthands written out.

    ``MODEL_MAP`` and ``routes`` are other names for ``intents``; an intent may name a model's id
    directly; a model may be just its id, an intent just its model; ``policy``, ``classifier`` and
    ``fallbacks`` may be short.
    """
    full = dict(data)
    for other in ("MODEL_MAP", "routes"):
        if other in full and "intents" not in full:
            full["intents"] = full.pop(other)
    if isinstance(full.get("models"), dict):
        full["models"] = {k: _model(v) for k, v in full["models"].items()}
    if isinstance(full.get("intents"), dict):
        full["intents"] = {k: _intent(v) for k, v in full["intents"].items()}
        _models_of_map(full)
    for section, key in (("policy", "name"), ("classifier", "kind")):
        if isinstance(full.get(section), str):
            full[section] = {key: full[section]}
    fallbacks = full.get("fallbacks")
    if isinstance(fallbacks, list):
        full["fallbacks"] = {name: list(fallbacks) for name in full.get("models", {})}
    return full


def _model(value: Any) -> Any:
    return {"model": value} if isinstance(value, str) else value


def _intent(value: Any) -> Any:
    return {"model": BLOCK if value is None else value} if not isinstance(value, dict) else value


def _models_of_map(full: dict[str, Any]) -> None:
    """Give a pasted map the models and the default that it implies."""
    if "models" in full:
        return
    targets = [intent.get("model") for intent in full["intents"].values()]
    ids = [v for v in targets if isinstance(v, str) and v != BLOCK]
    if isinstance(full.get("default"), str):
        ids.append(full["default"])
    full["models"] = {model: {"model": model} for model in ids}
    if ids and "default" not in full:
        full["default"] = full["intents"].get("simple_qa", {}).get("model", ids[0])
