"""What only the shared store does: reads of other threads while it closes."""

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, suppress

import pytest

from tests.waiting import soon
from turnout.ledger import postgres
from turnout.ledger.directory import BUMP_REVISION_SQL
from turnout.ledger.postgres import PostgresStore
from turnout.ledger.store import StoreFailure

READS = 4
Rows = list[tuple[object, ...]]


@pytest.mark.apt
def test_reads_under_way_hear_that_the_store_closes(postgres_url: str) -> None:
    """The one that runs and those that wait for its connection; the store can be used again."""
    store = PostgresStore(f"{postgres_url}/postgres")
    store.fetch("SELECT 1")
    with ThreadPoolExecutor(READS) as threads:
        reads = [threads.submit(store.fetch, "SELECT pg_sleep(60)") for _ in range(READS)]
        assert soon(lambda: all(read.running() for read in reads))
        time.sleep(0.1)  # so that one of them is at the server
        assert _took_s(store.close) < 10
        assert [type(read.exception(timeout=10)) for read in reads] == [StoreFailure] * READS
    assert store.fetch("SELECT 1") == [(1,)]
    store.close()


def test_a_read_that_still_connects_hears_it_too() -> None:
    """A server that takes connections and says nothing holds nobody longer than connecting may."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        store = PostgresStore(f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/none")
        with ThreadPoolExecutor(1) as threads:
            read: Future[Rows] = threads.submit(store.fetch, "SELECT 1")
            with closing(silent.accept()[0]):
                assert _took_s(store.close) < 10
                assert isinstance(read.exception(timeout=10), StoreFailure)


@pytest.mark.apt
def test_reads_never_wait_for_a_loop_that_has_ended(postgres_url: str) -> None:
    """However often it closes beneath them, each read has rows or a failure."""
    store = PostgresStore(f"{postgres_url}/postgres")
    stop = threading.Event()

    def read() -> int:
        count = 0
        while not stop.is_set():
            with suppress(StoreFailure):
                assert store.fetch("SELECT 1") == [(1,)]
            count += 1
        return count

    with ThreadPoolExecutor(READS) as threads:
        reads = [threads.submit(read) for _ in range(READS)]
        for _ in range(20):
            time.sleep(0.02)
            store.close()
        stop.set()
        assert all(found.result(timeout=10) for found in reads)
    store.close()


@pytest.mark.apt
def test_a_server_that_does_not_answer_holds_no_commit_for_long(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its connection is given up, which is not asked to take anything back."""
    monkeypatch.setattr(postgres, "COMMIT_S", 0.2)
    store = PostgresStore(f"{postgres_url}/postgres")
    store.open()

    def wait() -> None:
        with pytest.raises(StoreFailure, match="cannot be used now"):
            store.commit((), lambda _: [("SELECT pg_sleep($1)", [(60,)])])

    assert _took_s(wait) < 10
    store.open()
    store.commit((), lambda _: [("SELECT pg_sleep($1)", [(0,)])])
    store.close()


@pytest.mark.apt
def test_connections_that_the_server_ends_are_failures_of_the_store(postgres_url: str) -> None:
    """At whatever step of a read or a commit; nothing else comes out, and all goes on."""
    store, other = (PostgresStore(f"{postgres_url}/postgres") for _ in range(2))
    store.open()
    stop = threading.Event()

    def end_connections() -> None:
        while not stop.is_set():
            with suppress(StoreFailure):
                other.fetch(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )

    def commit() -> None:
        store.commit([("all:all:usd", "total")], lambda _: [(BUMP_REVISION_SQL, [(1,)])])

    def reopen() -> None:
        store.close()
        store.open()

    ending = threading.Thread(target=end_connections)
    ending.start()
    for _ in range(300):
        for work in (commit, lambda: store.fetch("SELECT 1"), reopen):
            with suppress(StoreFailure):
                work()
    stop.set()
    ending.join()
    assert soon(lambda: _works(reopen))
    commit()
    store.close()
    other.close()


def _works(work: Callable[[], object]) -> bool:
    try:
        work()
    except StoreFailure:
        return False
    return True


def _took_s(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began
