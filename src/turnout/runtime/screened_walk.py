"""A walk whose answers are scanned before they leave, whole or streamed.

Invariant: the scanner's own Scans are recorded before the request is settled. A stopped answer ends
as one that the provider filtered does, and no other model is asked.
This module does not know how texts are scored.
"""

from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass

from msgspec import structs

from turnout.core import Chunk, Delta, Outcome, Scan, Usage
from turnout.runtime.assemble import Assembly
from turnout.runtime.call import Call
from turnout.runtime.scanner import Judge, Scanner
from turnout.runtime.screen import CHARACTERS_PER_TOKEN, Screen
from turnout.runtime.walk import Walk
from turnout.runtime.written import written


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """How answers are scanned, and how many tokens of a stream are held back."""

    judge: Judge
    hold_tokens: int
    refusal: str


class ScreenedWalk(Walk, kw_only=True):
    """A walk with a scanner between the model and the caller."""

    screening: Screening
    screen: Screen | None = None

    async def _answer(self, call: Call) -> Chunk | None:
        answer = await super()._answer(call)
        if answer is None:
            return None
        fresh: dict[str, str] = {}
        for part, text in written(answer):
            fresh[part] = fresh.get(part, "") + text
        scanner = Scanner(self.screening.judge)
        self.stopped = await scanner.scan(fresh)
        self._note(scanner)
        if self.stopped is None:
            return answer
        choices = {delta.choice for delta in answer.deltas}
        return self._stop(self.stopped, choices, answer, answer.usage, said=False)

    async def _batches(self, call: Call) -> AsyncGenerator[Sequence[Chunk], None]:
        keep = self.screening.hold_tokens * CHARACTERS_PER_TOKEN
        # Choices take turns in a stream, so that each needs a window of its own.
        choices = self.request.body.get("n")
        keep *= choices if isinstance(choices, int) and choices > 1 else 1
        scanner = Scanner(self.screening.judge)
        screen = self.screen = Screen(scanner=scanner, keep=keep, stride=max(1, keep // 2))
        last = Chunk()
        async with aclosing(super()._batches(call)) as batches:
            async for last in screen.through(batches):
                yield (last,)
        if not screen.stopped and call.outcome is not None and call.outcome.status == "ok":
            async for last in screen.rest():
                yield (last,)
        self._note(scanner)
        if screen.stopped:
            self.stopped = screen.stopped
            usage = call.outcome.usage if call.outcome else None
            yield (self._stop(screen.stopped, screen.choices, last, usage, said=screen.released),)

    async def _record(self, call: Call) -> Outcome:
        # What is held back was not released, so that another route may still answer.
        if call.outcome is not None and self.screen is not None and not self.screen.released:
            call.outcome = structs.replace(call.outcome, released=False)
        return await super()._record(call)

    def _note(self, scanner: Scanner) -> None:
        self.scans = tuple(scanner.scans.values())
        for scan in self.scans:
            kind = "answer_blocked" if scan.blocked else "answer_scanned"
            self.means.recorder.noted(self.decision.id, kind, _sentence(scan))

    def _stop(
        self, why: str, choices: set[int], last: Chunk, usage: Usage | None, *, said: bool
    ) -> Chunk:
        """The chunk that ends a stopped answer; with the refusal's text if nothing left before."""
        text = "" if said else self.screening.refusal
        deltas = tuple(
            Delta(choice=choice, text=text, refusal=why, finish_reason="content_filter")
            for choice in sorted(choices or {0})
        )
        return Chunk(deltas=deltas, usage=usage, model=last.model, id=last.id)


def screening_of(parts: Assembly, threads: Executor) -> Screening | None:
    """How the configuration wants answers scanned; None if it does not."""
    safety, rules = parts.config.safety, parts.means.rules
    if safety.answers == "off":
        return None
    judge = Judge(classifier=parts.classifier, rule=rules.safety, threads=threads)
    return Screening(judge=judge, hold_tokens=safety.hold_tokens, refusal=parts.config.refusal)


def _sentence(scan: Scan) -> str:
    score = "none" if scan.unsafe is None else f"{scan.unsafe:.4f}"
    found = f"{scan.part}: sha256:{scan.sha256} of {scan.scanned_bytes} bytes, unsafe {score}"
    return f"{found}, {scan.blocked}" if scan.blocked else found
