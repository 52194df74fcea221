"""What providers' prompt caches are expected to hold of conversations, learned from usage reports.

Invariant: no text is kept, memory is bounded, and an entry is forgotten when the provider's cache
may have expired. Only what is known counts: reads and writes in a usage report, and prompts that a
provider caches unasked, by its documentation. A deployment that twice in a row read nothing where a
read was expected counts as empty until it reports a read again. Each process knows only its own
answers.
This module does not know prices' amounts or policies; its clock is an argument.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from time import monotonic

from msgspec import structs

from turnout.catalog import (
    CACHE_LIFE_S,
    LONG_CACHE_LIFE_S,
    MIN_CACHED_TOKENS,
    Deployment,
    automatic_cache_tokens,
    is_cache_discounted,
)
from turnout.core import Decision, Outcome, Request, Usage
from turnout.decision import input_tokens
from turnout.features import prompt_texts
from turnout.runtime.offload import MOST_LOOP_BYTES
from turnout.runtime.prefix import Prefix, is_continued, prefix_of

_MOST_ENTRIES = 10_000
_MISSES_TO_DOUBT = 2

Held = Mapping[str, tuple[int, float]]
_NOTHING: Held = {}


class Caches:
    """For the hash of a prompt's beginning: cached tokens at each deployment, and until when."""

    def __init__(
        self, deployments: Mapping[str, Deployment], clock: Callable[[], float] = monotonic
    ) -> None:
        self.deployments = deployments
        self._clock = clock
        self.salt = secrets.token_bytes(32)
        self.held: OrderedDict[bytes, Held] = OrderedDict()
        self.missed: dict[str, int] = {}

    def prefix(self, request: Request) -> Prefix | None:
        """The hashes of the prompt's beginnings, if it continues a conversation that may be known.

        A long body is hashed in any case, while it is read on a thread.
        """
        wanted = (self.held and is_continued(request)) or request.body_bytes > MOST_LOOP_BYTES
        return prefix_of(request, self.salt) if wanted else None

    def expected(self, prefix: Prefix) -> dict[str, int]:
        """How many tokens of the prompt each deployment's cache is expected to hold.

        If any holds some, deployments that read nothing lately are listed with 0.
        """
        found: dict[str, int] = {}
        now = self._clock()
        for end in prefix.ends:
            for name, (tokens, until) in self.held.get(end, _NOTHING).items():
                if until > now:
                    found[name] = max(tokens, found.get(name, 0))
        doubted = {name: 0 for name, missed in [*self.missed.items()] if missed >= _MISSES_TO_DOUBT}
        found |= doubted
        return found if any(found.values()) else {}

    def learn(
        self, request: Request, decision: Decision, outcome: Outcome, prefix: Prefix | None = None
    ) -> None:
        """Learn from a call what its deployment's cache holds now."""
        usage, name = outcome.usage, outcome.route.deployment
        deployment = self.deployments[name]
        prompt = input_tokens(decision.features, deployment)
        if usage.estimated or not usage.total_input or not outcome.is_answer:
            return
        if not is_cache_discounted(deployment.price, prompt):
            return
        self._count_miss(name, decision, usage)
        reported = prompt * (usage.cache_read + usage.cache_write) // usage.total_input
        tokens = max(reported, automatic_cache_tokens(deployment, prompt))
        prefix = prefix or prefix_of(request, self.salt)
        if tokens < MIN_CACHED_TOKENS or prefix is None:
            return
        began_s = self._clock() if outcome.began_s is None else outcome.began_s
        until = began_s + (LONG_CACHE_LIFE_S if usage.hour_cache else CACHE_LIFE_S)
        self._keep(prefix.ends[-1], name, tokens, until)
        if prefix.marked or automatic_cache_tokens(deployment, prompt):
            first = prefix.ends[0]
            known = self.held.get(first, _NOTHING).get(name)
            leading_tokens = known[0] if known else self._leading(request, decision, prefix, prompt)
            if leading_tokens >= MIN_CACHED_TOKENS:
                self._keep(first, name, min(tokens, leading_tokens), until)

    def take_over(self, old: "Caches") -> None:
        """Take over what is known of deployments that have not changed."""
        same = {n for n, d in self.deployments.items() if old.deployments.get(n) == d}
        self.salt = old.salt
        for end, held in old.held.items():
            kept = {name: known for name, known in held.items() if name in same}
            if kept:
                self.held[end] = kept
        self.missed = {name: n for name, n in old.missed.items() if name in same}

    def _count_miss(self, name: str, decision: Decision, usage: Usage) -> None:
        """Count an expected read that did not happen: a cache may hold less than documented."""
        if usage.cache_read:
            self.missed.pop(name, None)
        elif any(c.deployment == name and c.cache_read_tokens for c in decision.candidates):
            self.missed[name] = self.missed.get(name, 0) + 1

    def _leading(self, request: Request, decision: Decision, prefix: Prefix, prompt: int) -> int:
        """About how many of the prompt's tokens are in its tools and leading instructions."""
        body = {**request.body, "messages": request.messages[: prefix.leading]}
        texts = prompt_texts(structs.replace(request, body=body))
        characters = decision.features.characters
        return prompt * sum(map(len, texts)) // characters if characters else 0

    def _keep(self, end: bytes, name: str, tokens: int, until: float) -> None:
        # A new mapping, since another thread may be reading the old one.
        self.held[end] = {**self.held.get(end, _NOTHING), name: (tokens, until)}
        self.held.move_to_end(end)
        now = self._clock()
        while self.held:
            if len(self.held) <= _MOST_ENTRIES and not _is_expired(
                next(iter(self.held.values())), now
            ):
                return
            self.held.popitem(last=False)


def _is_expired(held: Held, now: float) -> bool:
    return all(until < now for _, until in held.values())
