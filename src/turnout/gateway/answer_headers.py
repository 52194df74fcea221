"""The headers that explain an answer: its model, the reason, the cost.

Invariant: they are written from the attempt that produced the bytes, and hold no line breaks.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from turnout.core import Dialect, exact_usd
from turnout.gateway.cors import Origins
from turnout.gateway.dialects.left_out import left_out
from turnout.gateway.exchange import Headers
from turnout.gateway.request_headers import is_trace
from turnout.runtime import Walk

_NOT_PRINTABLE = re.compile(r"[^\x20-\x7e]+")
_LONGEST = 256
_LONGEST_LIST = 1024


def decision_headers(
    walk: Walk, model: str, cost_pico_usd: int | None, *, final: bool, under_way: int = 0
) -> Headers:
    """``x-turnout-*``. ``final`` says that the cost is what was paid, not what is expected.

    Why the answer was stopped is the reason that counts then; the model that would have been chosen
    had a budget had room for it is told beside any. ``under_way`` calls are not among the outcomes
    yet.
    """
    decision = walk.decision
    cost = "unknown" if cost_pico_usd is None else exact_usd(cost_pico_usd)
    answered = under_way > 0 or walk.complete
    reason = f"answer stopped: {walk.stopped}" if walk.stopped else _reason(walk, answered=answered)
    if walk.over_budget_model is not None:
        reason = f"{reason} (a budget has no room for {walk.over_budget_model})"
    attempts = attempts_of(walk) + under_way
    return [
        (b"x-turnout-model", printable(model)),
        (b"x-turnout-decision", decision.id.encode()),
        (b"x-turnout-intent", _printable_own(decision.intent)),
        (b"x-turnout-reason", _printable_own(reason)),
        (b"x-turnout-cost-usd" if final else b"x-turnout-expected-cost-usd", cost.encode()),
        (b"x-turnout-attempts", b"%d" % attempts),
    ]


def attempts_of(walk: Walk) -> int:
    """The calls that were made for the answer, without those for a label or a verdict."""
    return len([o for o in walk.outcomes if o.is_answer and o.was_sent])


def _reason(walk: Walk, *, answered: bool) -> str:
    """Why this model answers, and what became of those before it, if it was not the first."""
    decision, call = walk.decision, walk.call
    if not answered or call is None or call.attempt.route.ordinal == 0:
        return decision.reason
    reason = decision.candidate_at(call.attempt.route.deployment).reason
    failures = [f"{o.route.model} {o.error.kind}" for o in walk.outcomes if o.is_answer and o.error]
    return f"{reason} after {', '.join(dict.fromkeys(failures))}" if failures else reason


def left_out_header(walk: Walk) -> Headers:
    """``x-turnout-left-out``, where the model that answers was not told all that was asked."""
    names = left_out(walk)
    return [(b"x-turnout-left-out", printable(", ".join(names), _LONGEST_LIST))] if names else []


def printable(word: str, longest: int = _LONGEST) -> bytes:
    """A header's value: a provider may call its model anything, line breaks included."""
    if not (word.isascii() and word.isprintable()):
        word = _NOT_PRINTABLE.sub("?", word.replace("→", "->").replace("≥", ">="))
    return word[:longest].encode()


# Intents and most reasons are few, and short; what a provider calls its models may be neither.
_printable_own = lru_cache(maxsize=256)(printable)


def common_headers(
    request_id: str, dialect: Dialect, headers: Mapping[bytes, bytes], origins: Origins
) -> Headers:
    """What every response carries: its id, the caller's trace, and what its page may read."""
    found = [(b"x-request-id", request_id.encode())]
    if dialect == "messages":
        # Anthropic's word for it, under which its clients show the id.
        found.append((b"request-id", request_id.encode()))
    trace = headers.get(b"traceparent")
    if trace is not None and is_trace(trace):
        found.append((b"traceparent", trace))
    return found + origins.response_headers(headers) if origins else found
