"""How requests are carried out: deadlines, retries, health, traces, budgets and the cache."""

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from turnout.config.section import Name, Origin, Seconds, Section, Share, off_if_false
from turnout.core.budget import Per, Unit, WhenFull, Window


class TimeoutSection(Section):
    """Deadlines in seconds.

    After ``hold_s`` the caller of a stream that has not begun gets keep-alives; None: never.
    """

    hold_s: Seconds | None = None
    connect_s: Seconds = 5.0
    first_token_s: Seconds = 30.0
    inter_token_s: Seconds = 20.0
    total_s: Seconds = 600.0


class RetrySection(Section):
    """How often and after which waits a model is tried again before the next one."""

    retries: Annotated[int, Field(ge=0, le=10)] = 1
    base_s: Seconds = 0.5
    cap_s: Seconds = 8.0
    longest_wait_s: Seconds = 20.0


class HealthSection(Section):
    """When a failing model cools down, and how many calls a model gets at a time."""

    failures: Annotated[int, Field(ge=1)] = 5
    cooldown_s: Seconds = 5.0
    longest_s: Seconds = 300.0
    lasting_s: Seconds = 60.0
    spend_limit_s: Seconds | None = None
    rate_limit_s: Seconds | None = None
    retry_share: Share = 0.1
    retry_reserve: Annotated[float, Field(ge=0)] = 3.0
    max_in_flight: Annotated[int, Field(ge=1)] = 1000


class TelemetrySection(Section):
    """Where traces go: to ``endpoint``, else where the OTEL_* variables say.

    Without either of them, and without ``traces: otlp``, there are none; ``off`` means none at all.
    """

    traces: Annotated[Literal["off", "otlp"] | None, BeforeValidator(off_if_false)] = None
    endpoint: Annotated[str, Field(pattern=r"^https?://[^\s/]")] | None = None


class ServeSection(Section):
    """Settings of the gateway alone: the web origins whose pages may call it."""

    origins: tuple[Origin, ...] = ()


class BudgetSection(Section):
    """A limit of dollars, requests or tokens in each window of UTC.

    ``per`` says for whom; without ``name`` each of them has such a budget. ``when_full: cheaper``
    decides again among the models that fit, before the request is refused.
    """

    per: Per
    name: Name | None = None
    window: Window
    usd: Annotated[Decimal | None, Field(ge=0, le=10**6, allow_inf_nan=False)] = None
    requests: Annotated[int | None, Field(ge=0, le=10**15)] = None
    tokens: Annotated[int | None, Field(ge=0, le=10**15)] = None
    when_full: WhenFull = "refuse"

    @property
    def amount(self) -> tuple[Unit, Decimal]:
        """The unit that is given, and how much of it."""
        if self.usd is not None:
            return "usd", self.usd
        if self.requests is not None:
            return "requests", Decimal(self.requests)
        return "tokens", Decimal(self.tokens or 0)

    @model_validator(mode="after")
    def _check_unit(self) -> Self:
        if [self.usd, self.requests, self.tokens].count(None) != 2:
            raise ValueError("a budget needs exactly one of usd, requests and tokens")
        if self.per == "all" and self.name is not None:
            raise ValueError("a budget per all takes no name; it is one for everybody")
        return self


class CacheSection(Section):
    """The exact cache: answers are kept for ``ttl_s`` seconds, by tenant; 0 keeps none.

    ``most_bytes`` is its size limit in each process.
    """

    ttl_s: Annotated[float, Field(ge=0, le=31_536_000)] = 0.0
    most_bytes: Annotated[int, Field(ge=0)] = 64 * 2**20
