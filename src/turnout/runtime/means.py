"""What carrying out a decision takes, and the contract of who verifies drafts by it.

Invariant: fixed for as long as a configuration is, but for who listens; the ledger and who listens
hear of the same calls. This module carries nothing out.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A tool that the draft calls; ``arguments`` is JSON as the model wrote it."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A complete answer that is not released yet: the first choice's text and tool calls.

    ``logprobs`` are those of its tokens where the provider told them.
    """

    request: Request
    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``rejection`` is why the draft may not be served, None when it may; ``call`` what it cost."""

    rejection: str | None
    call: Outcome | None = None


class Verifier(Protocol):
    """Decides on drafts."""

    def asks(self, request: Request) -> Request:
        """The request as a draft's model shall get it."""
        ...

    async def verdict(self, draft: Draft, decision_id: str, means: "Means") -> Verdict:
        """Whether the draft may be served; never raises for what the draft holds."""
        ...

    def ceiling(self, prompt_tokens: int, answer_tokens: int) -> Mapping[str, Bound]:
        """The most that one verdict can use, by the deployments that it asks."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What carrying out a decision takes; ``stand_in`` answers in place of every deployment.

    ``caches`` knows what providers keep of prompts; None where nothing is to be known.
    ``listeners`` hear of every call as it ends.
    """

    rules: Rulebook
    backends: Backends
    timeouts: Timeouts
    retries: RetryRules
    recorder: Recorder
    health: Health
    stand_in: Deployment | None = None
    verifier: Verifier | None = None
    cohort: Cohort = field(default_factory=Cohort)
    caches: Caches | None = None
    listeners: list[Callable[[Outcome], object]] = field(default_factory=list)

    def ended(self, outcome: Outcome) -> Awaitable[None]:
        """A call ended, whatever it was for; one that failed is kept when the awaitable is done."""
        self.health.ended(outcome)
        for hear in self.listeners:
            hear(outcome)
        return self.recorder.attempted(outcome)
