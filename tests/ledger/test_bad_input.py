"""Every bad file, folder, disk and clock gets one clear line, and loses nothing."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import apsw
import pytest
from msgspec import structs

from tests.ledger.conftest import MakeStore
from tests.ledger.money import CATALOG, ReportedRequest, report_request, traffic
from turnout.core import ConfigError, InvalidRequest, LedgerError
from turnout.ledger import Ledger, latest_requests, request_details, verify
from turnout.ledger.sqlite import SqliteStore
from turnout.ledger.store import StoreFailure
from turnout.ledger.writer import RECOVERY_PAUSE_S


def _store(path: Path) -> SqliteStore:
    return SqliteStore(path, lock_wait_s=0.1)


async def _record_requests(path: Path, count: int = 5) -> list[ReportedRequest]:
    reported = list(traffic(count, 1))
    with Ledger(_store(path), catalog=CATALOG) as ledger:
        for one in reported:
            await report_request(ledger, one)
    return reported


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """Another file is not touched, and the line names it."""
    path = tmp_path / "ledger.db"
    path.write_bytes(b"these are notes, not a database " * 100)
    with pytest.raises(ConfigError, match="damaged or not a ledger"):
        Ledger(_store(path), catalog=CATALOG).start()
    assert path.read_bytes().startswith(b"these are notes")


async def test_a_damaged_file_is_found(tmp_path: Path) -> None:
    """Flipped bytes in the middle: verify finds them or refuses to read, never calls it sound."""
    path = tmp_path / "ledger.db"
    await _record_requests(path, 200)
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 2048] = os.urandom(2048)
    path.write_bytes(raw)
    try:
        found = verify(_store(path))
    except ConfigError as error:
        found = [str(error)]
    assert found
    assert all("\n" not in line for line in found)


async def test_a_file_that_is_damaged_while_it_is_written(tmp_path: Path) -> None:
    """Every request gets an error; none waits for a settlement that cannot be looked up."""
    path = tmp_path / "ledger.db"
    await _record_requests(path, 200)
    reader = apsw.Connection(str(path))
    size = int(str(reader.pragma("page_size")))
    ((root,),) = reader.execute("SELECT rootpage FROM sqlite_master WHERE name = 'settlements'")
    reader.close()
    store = _store(path)
    first, *others = traffic(4, 300)
    with Ledger(store, catalog=CATALOG) as ledger:
        await ledger.decided(first.request, first.decision)
        with path.open("r+b") as file:
            file.seek((int(str(root)) - 1) * size)
            file.write(b"\xff" * size)
        with pytest.raises(LedgerError, match="malformed"):
            await ledger.settled(first.decision)
        for other in others:
            await asyncio.sleep(RECOVERY_PAUSE_S)
            with pytest.raises(LedgerError, match="restore a backup"):
                async with asyncio.timeout(30):
                    await ledger.decided(other.request, other.decision)


async def test_a_file_that_is_lost_while_it_is_written(tmp_path: Path) -> None:
    """Nothing more is promised, and no new one begins in its place; put back, it goes on."""
    path, aside = tmp_path / "ledger.db", tmp_path / "aside.db"
    first, second, third = traffic(3, 1)
    with Ledger(_store(path), catalog=CATALOG) as ledger:
        await report_request(ledger, first)
        path.rename(aside)
        with pytest.raises(LedgerError, match="removed or replaced while it was written"):
            await report_request(ledger, second)
        await asyncio.sleep(RECOVERY_PAUSE_S)
        with pytest.raises(LedgerError, match="is gone, with its keys and budgets; put it back"):
            await report_request(ledger, third)
        assert not path.exists()
        aside.rename(path)
        await asyncio.sleep(RECOVERY_PAUSE_S)
        await report_request(ledger, third)
    settled = [line.id for line in latest_requests(_store(path)) if line.state == "settled"]
    assert sorted(settled) == [first.decision.id, third.decision.id]


async def test_a_folder_that_cannot_be_reached_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The upkeep that reads there meanwhile fails, and the next request is written."""
    monkeypatch.setattr("turnout.ledger.writer.SWEEP_S", 0.01)
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    link.symlink_to("there")
    first, second = traffic(2, 1)
    with Ledger(_store(link / "l.db"), catalog=CATALOG) as ledger:
        await report_request(ledger, first)
        link.unlink()
        link.symlink_to("link")  # as a share that is gone: what is there cannot be known
        with pytest.raises(StoreFailure, match="cannot be used now"):
            ledger.store.fetch("SELECT 1")
        await asyncio.sleep(0.2)
        link.unlink()
        link.symlink_to("there")
        await asyncio.sleep(2 * RECOVERY_PAUSE_S)
        await asyncio.wait_for(report_request(ledger, second), 10)
    assert verify(_store(link / "l.db")) == []
    assert len(latest_requests(_store(link / "l.db"))) == 2


async def test_a_newer_ledger_is_refused(tmp_path: Path) -> None:
    """A migration that this version does not know: update, or use another file."""
    path = tmp_path / "ledger.db"
    await _record_requests(path)
    connection = apsw.Connection(str(path))
    connection.execute("INSERT INTO migrations (name) VALUES ('add_tomorrow')")
    connection.close()
    with pytest.raises(ConfigError, match=r"newer version.*add_tomorrow"):
        Ledger(_store(path), catalog=CATALOG).start()


async def test_an_older_ledger_is_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of the first migration alone gets the others, and keeps its rows."""
    from turnout.ledger import schema

    path = tmp_path / "ledger.db"
    with monkeypatch.context() as older:
        older.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:1])
        with Ledger(_store(path), catalog=CATALOG) as ledger:
            del ledger
    reported = await _record_requests(path)
    assert len(latest_requests(_store(path))) == len(reported)
    assert verify(_store(path)) == []


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    """While one process writes, another gets a line with its number and the ways out."""
    path = tmp_path / "ledger.db"
    code = (
        "import sys, time; from turnout.ledger.sqlite import SqliteStore; "
        "SqliteStore(sys.argv[1]).open(); print('open', flush=True); time.sleep(30)"
    )
    other = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(ConfigError, match=rf"another process \(pid {other.pid}\)"):
            Ledger(_store(path), catalog=CATALOG).start()
    finally:
        other.kill()
        other.communicate()
    Ledger(_store(path), catalog=CATALOG).start().close()


async def test_an_idle_ledger_lets_another_one_write(tmp_path: Path) -> None:
    """With idle_s, a ledger that has nothing under way leaves the file, and comes back to it."""
    import asyncio

    path = tmp_path / "ledger.db"
    first, second, third = traffic(3, 1)
    resting = Ledger(_store(path), catalog=CATALOG, idle_s=0.05)
    await report_request(resting, first)
    await asyncio.sleep(0.3)
    with Ledger(_store(path), catalog=CATALOG) as other:
        await report_request(other, second)
    await report_request(resting, third)
    resting.close()
    assert len(latest_requests(_store(path))) == 3


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder below a file cannot be made: the line names it and the ways out."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="or to off"):
        Ledger(_store(tmp_path / "file" / "ledger.db"), catalog=CATALOG).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="a read-only mount needs root")
def test_a_read_only_folder(read_only: Path) -> None:
    """Nothing can be recorded there, so nothing may be spent: one line."""
    with pytest.raises(ConfigError, match="cannot be written"):
        Ledger(_store(read_only / "ledger.db"), catalog=CATALOG).start()


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder on a read-only file system."""
    with _mounted(tmp_path, "ro,size=64k"):
        yield tmp_path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MB."""
    with _mounted(tmp_path, "size=1m"):
        yield tmp_path


@contextmanager
def _mounted(folder: Path, options: str) -> Iterator[None]:
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("NOT RUN: mount is not allowed here")
    yield
    subprocess.run(["umount", "-l", folder], check=True)


async def test_a_full_disk_stops_the_promises_and_recovers_by_itself(small_disk: Path) -> None:
    """No promise on a full disk, no promised request lost, and work again once there is space."""
    import asyncio

    path = small_disk / "ledger.db"
    promised: list[str] = []
    refused = 0
    ledger = Ledger(_store(path), catalog=CATALOG).start()
    for one in traffic(3000, 1):
        try:
            await report_request(ledger, one)
        except LedgerError:
            refused += 1
            if refused == 20:
                break
        else:
            promised.append(one.decision.id)
    assert refused == 20
    await asyncio.to_thread(
        subprocess.run, ["mount", "-o", "remount,size=8m", small_disk], check=True
    )
    await asyncio.sleep(0.3)
    (last,) = traffic(1, 5000)
    await report_request(ledger, last)
    ledger.close()
    states = {row[0]: row[1] for row in _store(path).fetch("SELECT id, state FROM settlements")}
    assert all(states.get(id_) in {"settled", "estimated"} for id_ in [*promised, last.decision.id])
    assert verify(_store(path)) == []


async def test_a_clock_set_back_changes_no_state(tmp_path: Path) -> None:
    """Time runs backwards an hour a request: all settled, sums right, nothing freed early."""
    times = iter(range(1_800_000_000_000, 0, -3_600_000))
    with Ledger(_store(tmp_path / "l.db"), catalog=CATALOG, now_ms=lambda: next(times)) as ledger:
        for one in traffic(20, 1):
            await report_request(ledger, one)
    assert {line.state for line in latest_requests(_store(tmp_path / "l.db"))} <= {
        "settled",
        "estimated",
    }
    assert verify(_store(tmp_path / "l.db")) == []


async def test_what_a_text_cannot_hold_stops_nobody(make_store: MakeStore) -> None:
    """A provider may put a NUL into any name; in Postgres no text can hold one.

    Taken for an outage, its settlement would be tried again for ever, before anybody else's.
    """
    first, second = traffic(2, 1)
    odd = tuple(structs.replace(one, model="acme/la\0rge") for one in first.outcomes)
    with Ledger(make_store(), catalog=CATALOG) as ledger:
        await report_request(ledger, replace(first, outcomes=odd))
        await ledger.feedback(first.decision.id, "a\0b", 1)
        await report_request(ledger, second)
    store = make_store()
    assert [line.state for line in latest_requests(store)] == ["settled", "settled"]
    assert verify(store) == []
    with pytest.raises(InvalidRequest, match="not in the ledger"):
        request_details(store, "d_\0")


def test_a_missing_ledger_says_how_it_comes_to_be(tmp_path: Path) -> None:
    """Reading before anything was recorded makes no file, and says so."""
    with pytest.raises(ConfigError, match="no ledger yet"):
        latest_requests(_store(tmp_path / "ledger.db"))
    assert list(tmp_path.iterdir()) == []


def test_a_query_that_takes_too_long_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would keep the log from shrinking; the ledger goes on."""
    monkeypatch.setattr("turnout.ledger.sqlite.READ_LIMIT_S", 0.2)
    store = SqliteStore(tmp_path / "ledger.db")
    store.open()
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with pytest.raises(LedgerError):
        store.fetch(endless)
    assert store.fetch("SELECT n FROM revision")
    store.close()
