"""Claims and answers under callers' keys, in both databases: one at a time, kept for a day."""

import asyncio
from pathlib import Path

import pytest

from tests.ledger.conftest import MakeStore
from tests.ledger.money import CATALOG
from turnout.ledger import Ledger, Store, store_at
from turnout.ledger.entries import Change
from turnout.ledger.host import LedgerHost
from turnout.ledger.replays import KEPT_MS, Claim, Prior
from turnout.runtime.replays import LocalReplays, StoredReplays


def claim(token: str, *, id_: str = "i", print_: str = "p") -> Claim:
    """A claim that differs by its token."""
    return Claim(id=id_, fingerprint=print_, token=token)


class Clock:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.ms = 1_800_000_000_000

    def __call__(self) -> int:
        """The time."""
        return self.ms


def _ledger(store: Store, clock: Clock, lease_s: float = 900.0) -> Ledger:
    return Ledger(store, catalog=CATALOG, lease_s=lease_s, now_ms=clock).start()


def _rows(ledger: Ledger) -> int:
    count: int = ledger.store.fetch("SELECT count(*) FROM replays")[0][0]
    return count


async def _run_upkeep(ledger: Ledger) -> None:
    """What the writer does every few seconds."""
    for entry in ledger._upkeep(opening=False):
        assert isinstance(entry, Change)
        await ledger.write(entry)


async def test_one_of_many_gets_the_claim_and_all_get_its_answer(make_store: MakeStore) -> None:
    """Fifty at once: one None. Then the answer, to the byte; given up, the next one has it."""
    with _ledger(make_store(), Clock()) as ledger:
        replays = StoredReplays(ledger)
        claims = [claim(str(n)) for n in range(50)]
        priors = await asyncio.gather(*(replays.claim(one) for one in claims))
        (mine,) = [one for one, prior in zip(claims, priors, strict=True) if prior is None]
        assert {prior for prior in priors if prior} == {Prior(fingerprint="p")}
        await replays.drop(claim("somebody else's"))
        assert await replays.claim(claim("x", print_="q")) == Prior(fingerprint="p")
        await replays.keep(mine, b"\x00\xffanswer")
        assert await replays.claim(claim("y")) == Prior(fingerprint="p", answer=b"\x00\xffanswer")
        other = claim("z", id_="j")
        assert await replays.claim(other) is None
        await replays.drop(other)
        assert await replays.claim(claim("zz", id_="j")) is None


async def test_an_answer_without_a_claim_is_replaced_found_for_a_day_and_removed(
    make_store: MakeStore,
) -> None:
    """To the byte, by one write; it is not found after its day, though its row is still there."""
    clock = Clock()
    with _ledger(make_store(), clock) as ledger:
        replays = StoredReplays(ledger)
        await replays.put("r", b"first")
        await replays.put("r", b"\x00\xffsecond")
        await replays.put("s", b"other")
        assert await replays.find("r") == b"\x00\xffsecond"
        await replays.remove("s")
        await replays.remove("s")
        assert await replays.find("s") is None
        clock.ms += KEPT_MS
        assert await replays.find("r") is None
        assert _rows(ledger) == 1
        await _run_upkeep(ledger)
        assert _rows(ledger) == 0


async def test_an_answer_lives_for_a_day_and_is_then_removed(make_store: MakeStore) -> None:
    """A minute before it is there, after it the request may be made again; rows do not stay."""
    clock = Clock()
    with _ledger(make_store(), clock) as ledger:
        replays = StoredReplays(ledger)
        assert await replays.claim(claim("a")) is None
        await replays.keep(claim("a"), b"first")
        clock.ms += KEPT_MS - 60_000
        assert await replays.claim(claim("b")) == Prior(fingerprint="p", answer=b"first")
        clock.ms += 60_000
        assert await replays.claim(claim("c", print_="other")) is None
        await replays.keep(claim("a"), b"late")
        assert await replays.claim(claim("d")) == Prior(fingerprint="other")
        clock.ms += KEPT_MS
        await _run_upkeep(ledger)
        assert _rows(ledger) == 0


async def test_a_claim_ends_with_its_lease(make_store: MakeStore) -> None:
    """Nobody gave it up: free again when the lease is over, not before."""
    clock = Clock()
    with _ledger(make_store(), clock, lease_s=100) as ledger:
        replays = StoredReplays(ledger)
        assert await replays.claim(claim("a")) is None
        clock.ms += 99_000
        assert await replays.claim(claim("b")) == Prior(fingerprint="p")
        clock.ms += 2_000
        assert await replays.claim(claim("c")) is None


async def test_a_dead_owner_leaves_answers_and_no_claims(tmp_path: Path) -> None:
    """The file's next owner finds what was kept; what was only claimed is free."""
    clock = Clock()
    with _ledger(store_at(tmp_path / "ledger.db"), clock) as ledger:
        replays = StoredReplays(ledger)
        for name in ("kept", "claimed"):
            assert await replays.claim(claim("a", id_=name)) is None
        await replays.keep(claim("a", id_="kept"), b"answer")
    with _ledger(store_at(tmp_path / "ledger.db"), clock) as ledger:
        replays = StoredReplays(ledger)
        assert await replays.claim(claim("b", id_="kept")) == Prior(
            fingerprint="p", answer=b"answer"
        )
        assert await replays.claim(claim("b", id_="claimed")) is None


async def test_processes_that_share_a_file_see_each_others_claims(tmp_path: Path) -> None:
    """A guest's claim holds for the other; when the guest is gone, it is free."""
    owner = _ledger(store_at(tmp_path / "ledger.db"), Clock())
    host = LedgerHost(owner, str(tmp_path / "socket"), b"secret of this test")
    guests = [
        Ledger(
            store_at(tmp_path / "ledger.db"),
            catalog=CATALOG,
            shared=(str(tmp_path / "socket"), b"secret of this test"),
            now_ms=owner.now_ms,
        )
        for _ in range(2)
    ]
    one, other = (StoredReplays(guest) for guest in guests)
    assert await one.claim(claim("a")) is None
    assert await other.claim(claim("b")) == Prior(fingerprint="p")
    owner.owners.guest_ended(guests[0].owners.own)  # as when its connection ends
    await _run_upkeep(owner)
    assert await other.claim(claim("c")) is None
    for guest in guests:
        await asyncio.to_thread(guest.close)
    host.close()
    await asyncio.to_thread(owner.close)


@pytest.mark.apt
async def test_two_gateways_on_one_database_share_claims(postgres_url: str) -> None:
    """Claims of two processes at once on Postgres: one of a hundred is granted."""
    stores = [store_at(f"{postgres_url}/postgres") for _ in range(2)]
    ledgers = [_ledger(store, Clock()) for store in stores]
    both = [StoredReplays(ledger) for ledger in ledgers]
    claims = [claim(str(n)) for n in range(100)]
    priors = await asyncio.gather(*(both[n % 2].claim(one) for n, one in enumerate(claims)))
    assert priors.count(None) == 1
    mine = priors.index(None)
    await both[mine % 2].keep(claims[mine], b"answer")
    for replays in both:
        assert await replays.claim(claim("later")) == Prior(fingerprint="p", answer=b"answer")
    for ledger in ledgers:
        await asyncio.to_thread(ledger.close)


async def test_without_a_ledger_the_oldest_answers_make_room() -> None:
    """Bounded by bytes and by number; a claim is never forgotten."""
    replays = LocalReplays(most_bytes=100, most_answers=3)
    under_way = claim("a", id_="under way")
    assert await replays.claim(under_way) is None
    for n in range(5):
        one = claim("a", id_=str(n))
        assert await replays.claim(one) is None
        await replays.keep(one, b"x" * 40)
    found = [await replays.claim(claim("b", id_=str(n))) for n in range(5)]
    assert [prior is not None for prior in found] == [False, False, False, True, True]
    assert await replays.claim(claim("b", id_="under way")) == Prior(fingerprint="p")
    small = LocalReplays(most_answers=2)
    for n in range(3):
        assert await small.claim(claim("a", id_=str(n))) is None
        await small.keep(claim("a", id_=str(n)), b"")
    assert await small.claim(claim("b", id_="0")) is None
    assert await small.claim(claim("b", id_="2")) is not None
