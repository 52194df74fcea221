"""Claims held against a model of a few lines: ask, keep, give up, wait; in a file and in memory."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from tests.ledger.money import CATALOG
from turnout.ledger import Ledger, store_at
from turnout.ledger.replays import KEPT_MS, Claim, Prior
from turnout.runtime.replays import LocalReplays, StoredReplays

LEASE_S = 100
IDS, PRINTS = st.sampled_from("ab"), st.sampled_from("pq")


class Claims(RuleBasedStateMachine):
    """``model`` maps an id to (its claim, its answer, when it ends); ``made`` are all claims."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1_800_000_000_000
        self.made: list[Claim] = []
        self.model: dict[str, tuple[Claim, bytes | None, int]] = {}
        self.put_there: dict[str, tuple[bytes, int]] = {}
        self.loop = asyncio.new_event_loop()
        self.replays: Any = self.opened()

    def opened(self) -> Any:
        """What is tested."""
        self.folder = tempfile.TemporaryDirectory()
        self.ledger = Ledger(
            store_at(Path(self.folder.name) / "ledger.db"), catalog=CATALOG, lease_s=LEASE_S,
            now_ms=lambda: self.now,
        ).start()  # fmt: skip
        return StoredReplays(self.ledger)

    def do(self, work: Any) -> Any:
        """The result of a coroutine."""
        return self.loop.run_until_complete(work)

    @rule(id_=IDS, print_=PRINTS)
    def ask(self, id_: str, print_: str) -> None:
        """A claim is granted where none stands, else told what stands."""
        claim = Claim(id=id_, fingerprint=print_, token=str(len(self.made)))
        self.made.append(claim)
        there = self.model.get(id_)
        if there is None:
            assert self.do(self.replays.claim(claim)) is None
            self.model[id_] = claim, None, self.now + LEASE_S * 1000
        else:
            known = Prior(fingerprint=there[0].fingerprint, answer=there[1])
            assert self.do(self.replays.claim(claim)) == known

    @rule(which=st.integers(0, 2), answer=st.binary(max_size=8))
    def keep(self, which: int, answer: bytes) -> None:
        """Only the one who has the claim can answer it."""
        claim = self.chosen(which)
        if claim is not None:
            self.do(self.replays.keep(claim, answer))
            if self.model.get(claim.id, (None,))[0] == claim:
                self.model[claim.id] = claim, answer, self.now + KEPT_MS

    @rule(which=st.integers(0, 2))
    def give_up(self, which: int) -> None:
        """Only the one who has the claim can give it up."""
        claim = self.chosen(which)
        if claim is not None:
            self.do(self.replays.drop(claim))
            if self.model.get(claim.id, (None,))[0] == claim:
                del self.model[claim.id]

    @rule(id_=st.sampled_from("xy"), answer=st.binary(max_size=8))
    def put(self, id_: str, answer: bytes) -> None:
        """Without a claim, the last answer counts."""
        self.do(self.replays.put(id_, answer))
        self.put_there[id_] = answer, self.now + KEPT_MS

    @rule(id_=st.sampled_from("xy"))
    def remove(self, id_: str) -> None:
        """It may not be there."""
        self.do(self.replays.remove(id_))
        self.put_there.pop(id_, None)

    @rule(id_=st.sampled_from("xy"))
    def find(self, id_: str) -> None:
        """For a day, whether the writer has tidied up or not."""
        answer, until = self.put_there.get(id_, (None, 0))
        assert self.do(self.replays.find(id_)) == (answer if until > self.now else None)

    @rule(seconds=st.sampled_from([1, LEASE_S, LEASE_S + 1, KEPT_MS // 1000]))
    def wait(self, seconds: int) -> None:
        """Time passes, and the writer tidies up."""
        self.now += seconds * 1000
        for id_ in ("x", "y"):
            self.find(id_)
        self.model = {id_: one for id_, one in self.model.items() if one[2] > self.now}
        for change in self.ledger._upkeep(opening=False):
            self.do(_stored(self.ledger, change))

    def chosen(self, which: int) -> Claim | None:
        """One of the latest claims."""
        return self.made[-1 - which] if which < len(self.made) else None

    def teardown(self) -> None:
        """Close everything."""
        self.ledger.close()
        self.folder.cleanup()
        self.loop.close()


class LocalClaims(Claims):
    """The same without a ledger, where claims have no lease and time does not pass."""

    def opened(self) -> Any:
        """What is tested."""
        return LocalReplays()

    def chosen(self, which: int) -> Claim | None:
        """A claim that is under way: nobody else's is ever ended here."""
        open_ = [claim for claim, answer, _ in self.model.values() if answer is None]
        return open_[which] if which < len(open_) else None

    def wait(self, seconds: int) -> None:
        """Nothing."""

    def teardown(self) -> None:
        """Close the loop."""
        self.loop.close()


async def _stored(ledger: Ledger, change: Any) -> None:
    await ledger.write(change)


TestClaims = Claims.TestCase
TestClaims.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestLocalClaims = LocalClaims.TestCase
TestLocalClaims.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
