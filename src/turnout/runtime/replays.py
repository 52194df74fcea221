"""Claims to carry out a request once, the answers they ended with, and answers without a claim.

In a ledger all processes share them; without one they are kept in this process, within bounds.
Invariant: a claim is granted to one at a time. This module does not know what an answer is.
"""

import asyncio
import time
from collections import OrderedDict
from typing import Protocol

from turnout.ledger import Ledger, Recorder
from turnout.ledger.replays import (
    KEPT_MS,
    Claim,
    Prior,
    answer_deletion,
    answer_insertion,
    answer_storage,
    claim_acquisition,
    claim_release,
    prior_request,
    stored_answer,
)

__all__ = ["Claim", "LocalReplays", "Prior", "Replays", "replays_in"]

MOST_BYTES = 64 * 2**20
MOST_ANSWERS = 10_000


class Replays(Protocol):
    """A store of claims, of the answers they ended with, and of answers without a claim."""

    async def claim(self, claim: Claim) -> Prior | None:
        """None if the claim is granted, else the prior one with this id. Raises RouterError."""
        ...

    async def keep(self, claim: Claim, answer: bytes) -> None:
        """End the claim with an answer, which is kept for a day. Raises RouterError."""
        ...

    async def drop(self, claim: Claim) -> None:
        """Give the claim up, so that the request can be carried out again. Raises RouterError."""
        ...

    async def put(self, id_: str, answer: bytes) -> None:
        """Keep an answer for a day, without a claim, in place of an earlier one.

        Raises RouterError.
        """
        ...

    async def find(self, id_: str) -> bytes | None:
        """The answer that was put there. Raises RouterError."""
        ...

    async def remove(self, id_: str) -> None:
        """Keep that answer no longer. Raises RouterError."""
        ...


def replays_in(recorder: Recorder) -> Replays | None:
    """The store in the recorder's ledger; None without a ledger."""
    return StoredReplays(recorder) if isinstance(recorder, Ledger) else None


class StoredReplays:
    """In a ledger, for all processes that share it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def claim(self, claim: Claim) -> Prior | None:
        """As Replays.claim."""
        ledger = self._ledger
        await ledger.write(
            claim_acquisition(claim, ledger.owners.own, ledger.now_ms(), ledger.lease_ms)
        )
        return await asyncio.to_thread(prior_request, ledger.store, claim)

    async def keep(self, claim: Claim, answer: bytes) -> None:
        """As Replays.keep."""
        await self._ledger.write(answer_storage(claim, answer, self._ledger.now_ms()))

    async def drop(self, claim: Claim) -> None:
        """As Replays.drop."""
        await self._ledger.write(claim_release(claim))

    async def put(self, id_: str, answer: bytes) -> None:
        """As Replays.put."""
        await self._ledger.write(answer_insertion(id_, answer, self._ledger.now_ms()))

    async def find(self, id_: str) -> bytes | None:
        """As Replays.find."""
        ledger = self._ledger
        return await asyncio.to_thread(stored_answer, ledger.store, id_, ledger.now_ms())

    async def remove(self, id_: str) -> None:
        """As Replays.remove."""
        await self._ledger.write(answer_deletion(id_))


class LocalReplays:
    """In this process, with at most ``most_bytes`` and ``most_answers``: the oldest go."""

    def __init__(self, most_bytes: int = MOST_BYTES, most_answers: int = MOST_ANSWERS) -> None:
        self._most_bytes, self._most_answers = most_bytes, most_answers
        self._under_way: dict[str, Claim] = {}
        self._kept: OrderedDict[str, tuple[float, Prior]] = OrderedDict()
        self._bytes = 0

    async def claim(self, claim: Claim) -> Prior | None:
        """As Replays.claim."""
        self._prune()
        other = self._under_way.get(claim.id)
        if other is not None:
            return Prior(fingerprint=other.fingerprint)
        if claim.id in self._kept:
            return self._kept[claim.id][1]
        self._under_way[claim.id] = claim
        return None

    async def keep(self, claim: Claim, answer: bytes) -> None:
        """As Replays.keep."""
        del self._under_way[claim.id]
        self._keep(claim.id, Prior(fingerprint=claim.fingerprint, answer=answer))

    async def drop(self, claim: Claim) -> None:
        """As Replays.drop."""
        self._under_way.pop(claim.id, None)

    async def put(self, id_: str, answer: bytes) -> None:
        """As Replays.put."""
        self._forget(id_)
        self._keep(id_, Prior(fingerprint="", answer=answer))

    async def find(self, id_: str) -> bytes | None:
        """As Replays.find."""
        self._prune()
        return self._kept[id_][1].answer if id_ in self._kept else None

    async def remove(self, id_: str) -> None:
        """As Replays.remove."""
        self._forget(id_)

    def _keep(self, id_: str, prior: Prior) -> None:
        self._kept[id_] = time.monotonic() + KEPT_MS / 1000, prior
        self._bytes += len(prior.answer or b"")
        self._prune()

    def _forget(self, id_: str) -> None:
        if id_ in self._kept:
            self._bytes -= len(self._kept.pop(id_)[1].answer or b"")

    def _prune(self) -> None:
        """Forget the oldest answers: expired ones, and those for which there is no room."""
        now = time.monotonic()
        while self._kept:
            oldest, (until, _) = next(iter(self._kept.items()))
            full = self._bytes > self._most_bytes or len(self._kept) > self._most_answers
            if until > now and not full:
                return
            self._forget(oldest)
