"""A walk whose answers are scanned before they leave, whole or streamed.

Invariant: the scanner's own Scans are recorded before the request is settled. A stopped answer ends
as one that the provider filtered does, and no other model is asked.
This module does not know how texts are scored.
"""

from collections.abc import AsyncGenerator, Awaitable, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass

from msgspec import structs

from turnout.core import Chunk, Delta, Scan, Usage
from turnout.runtime.answer_texts import answer_texts
from turnout.runtime.assemble import Assembly
from turnout.runtime.call import Call
from turnout.runtime.scanner import Scanner, Scorer
from turnout.runtime.screen import CHARACTERS_PER_TOKEN, Screen
from turnout.runtime.walk import Walk


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """How answers are scanned, and how many tokens of a stream are held back."""

    scorer: Scorer
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
        unscanned: dict[str, str] = {}
        for part, text in answer_texts(answer):
            unscanned[part] = unscanned.get(part, "") + text
        scanner = Scanner(self.screening.scorer)
        self.stopped = await scanner.scan(unscanned)
        self._record_scans(scanner)
        if self.stopped is None:
            return answer
        choices = {delta.choice for delta in answer.deltas}
        return self._stop(self.stopped, choices, answer, answer.usage, released=False)

    async def _batches(self, call: Call) -> AsyncGenerator[Sequence[Chunk], None]:
        # Choices take turns in a stream, so that each needs a window of its own.
        hold_tokens = self.screening.hold_tokens * self.request.choices
        hold_characters = hold_tokens * CHARACTERS_PER_TOKEN
        scanner = Scanner(self.screening.scorer)
        screen = self.screen = Screen(
            scanner=scanner, hold_characters=hold_characters, stride=max(1, hold_characters // 2)
        )
        last = Chunk()
        async with aclosing(super()._batches(call)) as batches:
            async for last in screen.releasable(batches):
                yield (last,)
        if not screen.stopped and call.outcome is not None and call.outcome.status == "ok":
            async for last in screen.remaining():
                yield (last,)
        self._record_scans(scanner)
        if screen.stopped:
            self.stopped = screen.stopped
            usage = call.outcome.usage if call.outcome else None
            yield (
                self._stop(screen.stopped, screen.choices, last, usage, released=screen.released),
            )

    def _record(self, call: Call) -> Awaitable[None]:
        # What is held back was not released, so that another route may still answer.
        if call.outcome is not None and self.screen is not None and not self.screen.released:
            call.outcome = structs.replace(call.outcome, released=False)
        return super()._record(call)

    def _record_scans(self, scanner: Scanner) -> None:
        self.scans = tuple(scanner.scans.values())
        for scan in self.scans:
            kind = "answer_blocked" if scan.blocked else "answer_scanned"
            self.means.recorder.noted(self.decision.id, kind, _scan_summary(scan))

    def _stop(
        self, why: str, choices: set[int], last: Chunk, usage: Usage | None, *, released: bool
    ) -> Chunk:
        """The chunk that ends a stopped answer; with the refusal's text if nothing left before."""
        text = "" if released else self.screening.refusal
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
    scorer = Scorer(classifier=parts.classifier, rule=rules.safety, threads=threads)
    return Screening(scorer=scorer, hold_tokens=safety.hold_tokens, refusal=parts.config.refusal)


def _scan_summary(scan: Scan) -> str:
    score = "none" if scan.unsafe is None else f"{scan.unsafe:.4f}"
    found = f"{scan.part}: sha256:{scan.sha256} of {scan.scanned_bytes} bytes, unsafe {score}"
    return f"{found}, {scan.blocked}" if scan.blocked else found
