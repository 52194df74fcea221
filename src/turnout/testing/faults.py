"""The table of faults: what a provider can do wrong, and what a caller of the gateway then gets.

``python -m turnout.testing.faults`` prints it for docs/faults.md, and tests run every row through
every dialect, whole and streamed, so that neither can drift.
This module does not know the gateway.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from turnout.testing.proxy import Toxics


class Outcome(StrEnum):
    """What the caller gets."""

    ANSWER = "the answer"
    NEXT = "next model"
    PROVIDER = "next provider"
    REFUSED = "400"
    ERROR_EVENT = "error event"
    TRUNCATED = "TRUNCATED IN SILENCE"
    OTHER = "NOT DOCUMENTED"


EXPLANATIONS = {
    Outcome.ANSWER: "the model's own answer, complete",
    Outcome.NEXT: "another model's answer, complete; only the headers show it",
    Outcome.PROVIDER: "the same from another provider, since this one is out; if there is none, "
    "502 with every attempt",
    Outcome.REFUSED: "400 with the provider's reason: the request is at fault, and no other model "
    "is asked",
    Outcome.ERROR_EVENT: "what had arrived, then an error event in the caller's dialect, never a "
    "clean end",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One row: a script of the faulty upstream, or the toxics of a proxy in front of an honest one.

    ``silence`` marks a fault that only a deadline ends.
    """

    name: str
    what: str
    whole: Outcome
    stream: Outcome
    toxics: Toxics | None = None
    down: bool = False
    silence: bool = False

    @property
    def script(self) -> str:
        """The script that the upstream plays."""
        return self.name if self.name.startswith("f-") else "honest"


# For ``health`` in a configuration: a model that always fails is still called.
ALWAYS_ASKED = {
    "failures": 10**9,
    **dict.fromkeys(
        ("cooldown_s", "longest_s", "rate_limit_s", "lasting_s", "spend_limit_s"), 1e-6
    ),
}

_A, _N, _P, _R, _T = (
    Outcome.ANSWER,
    Outcome.NEXT,
    Outcome.PROVIDER,
    Outcome.REFUSED,
    Outcome.ERROR_EVENT,
)


def _row(
    name: str, what: str, whole: Outcome, stream: Outcome | None = None, **options: Any
) -> Fault:
    return Fault(name=name, what=what, whole=whole, stream=stream or whole, **options)


REFUSALS = (
    _row("f-400", "400: a value is invalid", _R),
    _row("f-unsupported", "400: the model does not support what was asked", _N),
    _row("f-filter", "400 of a content filter", _R),
    _row("f-context", "400: the prompt is too long", _N),
    _row("f-401", "401: the key is refused", _P),
    _row("f-402", "402: no credit", _P),
    _row("f-403", "403: no access", _P),
    _row("f-404", "404: no such model", _N),
    _row("f-408", "408", _N),
    _row("f-413", "413", _N),
    _row("f-429", "429 without a time", _N),
    _row("f-429-ra30", "429, `Retry-After` in seconds", _N),
    _row("f-429-radate30", "429, `Retry-After` as a date", _N),
    _row("f-429-rams30000", "429, `Retry-After-Ms`", _N),
    _row("f-429-rareset30", "429, `X-RateLimit-Reset` as a moment", _N),
    _row("f-429-ragarbage", "429, a `Retry-After` that means nothing", _N),
    _row("f-429-rahuge", "429, a `Retry-After` of 30 years", _N),
    _row("f-quota", "429: the account's quota is used up", _P),
    _row("f-spend", "429: a spend limit is reached", _P),
    _row("f-500", "500", _N),
    _row("f-500-plainerror", '500, `{"error": "text"}`', _N),
    _row("f-500-flaterror", '500, `{"message", "code"}`', _N),
    _row("f-500-detailerror", '500, `{"detail": "text"}`', _N),
    _row("f-502", "502", _N),
    _row("f-503-ra1", "503 with `Retry-After`", _N),
    _row("f-504", "504", _N),
    _row("f-529", "529: the provider is overloaded", _P),
    _row("f-500-echokey", "an error that repeats the key (which is struck out)", _N),
)
ANSWERS = (
    _row("f-spent30", "nothing left of a rate limit, in OpenAI's headers", _A),
    _row("f-spentat30", "nothing left of a rate limit, in Anthropic's headers", _A),
    _row("f-html200", "an HTML page with status 200", _N),
    _row("f-redirect", "302 (never followed)", _N),
    _row("f-empty", "no choices", _N),
    _row("f-halfjson", "half of a JSON answer", _N, _A),
    _row("f-badlength", "fewer bytes than `Content-Length` says", _N, _A),
    _row("f-gzipbomb", "1 GiB in a small gzip", _N),
    _row("f-hugeheader", "a header of 64 KiB", _N),
    _row("f-extrabytes", "a second answer that nobody asked for", _A),
    _row("f-bytewise", "the body byte by byte", _A),
    _row("f-othermodel", "another model than asked for (its name is passed on)", _A),
    _row("f-nousage", "no usage (counted by Turnout, marked estimated)", _A),
    _row("f-nullusage", "`usage: null`", _A),
    _row("f-negusage", "negative token counts", _A),
    _row("f-wrongusage", "token counts that contradict each other", _A),
    _row("f-lateusage", "usage after the finish reason", _A),
    _row("f-slow200ms", "a slow first token, within its deadline", _A),
    _row("f-drip5ms", "slow tokens, within their deadline", _A),
)
STREAMS = (
    _row("f-reset@0", "reset before the first byte", _N),
    _row("f-reset@4", "reset after four tokens", _N, _T),
    _row("f-cut@0", "closed before the first token", _A, _N),
    _row("f-cut@4", "closed after four tokens", _N, _T),
    _row("f-error@0", "an error event before the first token", _A, _N),
    _row("f-error@4", "an error event after four tokens", _A, _T),
    _row("f-badchunk@0", "one malformed event first (skipped)", _A),
    _row("f-badchunk@4", "one malformed event after four tokens (skipped)", _A),
    _row("f-badchunks@0", "two malformed events first", _A, _N),
    _row("f-badchunks@4", "two malformed events after four tokens", _A, _T),
    _row("f-badhex@0", "a chunk size that is no number first", _A, _N),
    _row("f-badhex@4-drip20ms", "a chunk size that is no number after four tokens", _A, _T),
    _row("f-nodone", "no end mark", _A, _T),
    _row("f-nofinish", "no finish reason", _A, _T),
    _row("f-hugeevent", "one event of 9 MiB", _A, _T),
    _row("f-crlf", "events with CRLF", _A),
    _row("f-cr", "events with CR", _A),
    _row("f-bom-comments", "a byte order mark and comments", _A),
    _row("f-nospace", "no blank after the field name", _A),
)
SILENCES = (
    _row("f-hang", "accepts the request and never answers", _N, silence=True),
    _row("f-stall@0", "silent before the first token", _A, _N, silence=True),
    _row("f-stall@4", "silent after four tokens", _N, _T, silence=True),
    _row("f-idle@0", "events without content, and never a token", _A, _N, silence=True),
    _row("f-idle@4", "events without content after four tokens", _A, _T, silence=True),
)
CONNECTIONS = (
    _row("refused", "no connection", _N, down=True),
    _row("timeout", "takes the connection, answers nothing, closes it", _N,
         toxics=Toxics(timeout_s=0.3)),
    _row("blackhole", "takes the connection and answers nothing", _N, toxics=Toxics(timeout_s=0),
         silence=True),
    _row("latency", "50 ms before each piece", _A, toxics=Toxics(latency_s=0.05)),
    _row("bandwidth", "20 kB a second", _A, toxics=Toxics(bytes_per_s=20_000)),
    _row("slicer", "pieces of 7 bytes", _A, toxics=Toxics(slice_bytes=7)),
    _row("slow_close", "half a second between the last byte and the end", _A,
         toxics=Toxics(slow_close_s=0.5)),
    _row("reset_peer", "reset before the first byte", _N, toxics=Toxics(reset_bytes=0)),
    _row("limit_data", "closed within the head", _N, toxics=Toxics(limit_bytes=40)),
    _row("cut@1", "reset after the first event (a role, no token)", _A, _N,
         toxics=Toxics(cut_event=1)),
    _row("cut@5", "reset after five events", _A, _T, toxics=Toxics(cut_event=5)),
    _row("cut@5-close", "closed after five events", _A, _T,
         toxics=Toxics(cut_event=5, cut="close")),
    _row("cut@5-stall", "silent after five events", _A, _T,
         toxics=Toxics(cut_event=5, cut="stall"), silence=True),
)  # fmt: skip
GROUPS = {
    "Refusals": REFUSALS,
    "Answers that are none, or odd": ANSWERS,
    "Streams": STREAMS,
    "Silence": SILENCES,
    "Connections": CONNECTIONS,
}
FAULTS = tuple(fault for group in GROUPS.values() for fault in group)
# They unpack 1 GiB, or send 9 MiB, each time, so proofs draw them seldom.
HEAVY = frozenset({"f-gzipbomb", "f-hugeevent"})


def document() -> str:
    """The table as Markdown, with its terms explained."""
    lines = [f"* **{outcome}**: {text}." for outcome, text in EXPLANATIONS.items()]
    for title, group in GROUPS.items():
        lines += ["", f"### {title}", "", "| fault | the provider's side | whole | streamed |"]
        lines += ["|---|---|---|---|"]
        lines += [f"| `{f.name}` | {f.what} | {f.whole} | {f.stream} |" for f in group]
    return "\n".join(lines)


if __name__ == "__main__":
    print(document())  # noqa: T201 -- its only output
