"""What is needed to carry out a decision, and the protocol of a verifier of drafts.

Invariant: fixed while a configuration is in use, except for the listeners, who are told of the same
calls as the ledger. This module carries nothing out.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from turnout.catalog import Deployment
from turnout.core import Bound, Outcome, Request
from turnout.decision import RetryRules, Rulebook
from turnout.ledger import Recorder
from turnout.providers import Timeouts
from turnout.runtime.backends import Backends
from turnout.runtime.caches import Caches
from turnout.runtime.cohort import Cohort
from turnout.runtime.health import Health
from turnout.runtime.lateness import Lateness


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool call in a draft; ``arguments`` is JSON as the model wrote it."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A complete answer that is not released yet: the first choice's text and tool calls.

    ``logprobs`` are the log-probabilities of its tokens, if the provider sent them.
    """

    request: Request
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``rejection`` is why the draft may not be served, or None; ``call`` is what judged it."""

    rejection: str | None
    call: Outcome | None = None


class Verifier(Protocol):
    """Decides whether a draft may be served."""

    def draft_request(self, request: Request) -> Request:
        """The request as it is sent to the model that drafts."""
        ...

    async def verdict(self, draft: Draft, decision_id: str, means: "Means") -> Verdict:
        """Whether the draft may be served; never raises for what the draft holds."""
        ...

    def verdict_bounds(self, prompt_tokens: int, answer_tokens: int) -> Mapping[str, Bound]:
        """The most that one verdict can use, for each deployment that it calls."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What is needed to carry out a decision.

    ``lateness`` knows who is not asked for labels or verdicts now. ``stand_in`` answers in place of
    every deployment, if there is one. ``caches`` knows what prompt caches hold, None if that is not
    to be used. ``listeners`` are called with the outcome of every call.
    """

    rules: Rulebook
    backends: Backends
    timeouts: Timeouts
    retries: RetryRules
    recorder: Recorder
    health: Health
    lateness: Lateness = field(default_factory=Lateness)
    stand_in: Deployment | None = None
    verifier: Verifier | None = None
    cohort: Cohort = field(default_factory=Cohort)
    caches: Caches | None = None
    listeners: list[Callable[[Outcome], object]] = field(default_factory=list)

    def call_ended(self, outcome: Outcome) -> Awaitable[None]:
        """Tell everyone that a call ended; a failed one is recorded once the awaitable is done."""
        self.health.call_ended(outcome)
        for listener in self.listeners:
            listener(outcome)
        return self.recorder.attempted(outcome)
