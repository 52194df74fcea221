"""Ledgers to test: a SQLite file, and a Postgres server that the tests start."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from turnout.ledger import Store, store_at

MakeStore = Callable[[], Store]


class Postgres:
    """A server of our own on a free port, with its real durability."""

    def __init__(self) -> None:
        if not shutil.which("postgres") or not shutil.which("initdb"):
            pytest.skip("NOT RUN: postgres is missing; apt-get install postgresql")
        # Not below pytest's own folder, which another session may close to the server's user.
        self._folder = Path(tempfile.mkdtemp(prefix="turnout-postgres-"))
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(self._folder, self._user)
        self._data, self._port = self._folder / "data", _free_port()
        self.url = f"postgresql://turnout@127.0.0.1:{self._port}"
        subprocess.run(
            ["initdb", "-D", self._data, "-A", "trust", "-U", "turnout"], user=self._user,
            check=True, stdout=subprocess.DEVNULL, cwd=self._folder,
        )  # fmt: skip

    def start(self) -> None:
        """Ready when this returns, also after it was stopped."""
        port, place = str(self._port), str(self._folder)
        self._server = subprocess.Popen(
            ["postgres", "-D", self._data, "-p", port, "-k", place, "-h", "127.0.0.1"],
            user=self._user, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _wait_for(self._port)

    def stop(self) -> None:
        """At once, without a word to its clients."""
        self._server.send_signal(signal.SIGQUIT)
        self._server.wait(20)

    def remove(self) -> None:
        """Nothing of it is kept."""
        shutil.rmtree(self._folder)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server that runs; it may be stopped and started meanwhile."""
    server = Postgres()
    server.start()
    try:
        yield server
    finally:
        server.stop()
        server.remove()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """One server for all tests that leave it running."""
    with running_postgres() as server:
        yield server.url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.apt)])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakeStore]:
    """Makes stores on one new and empty ledger, in both databases."""
    if request.param == "sqlite":
        yield lambda: store_at(tmp_path / "ledger.db", lock_wait_s=0.2)
        return
    url = request.getfixturevalue("postgres_url")
    name = f"t{time.time_ns()}"
    _create(url, name)
    made: list[Store] = []

    def make() -> Store:
        made.append(store_at(f"{url}/{name}"))
        return made[-1]

    yield make
    for store in made:
        store.close()


def _create(url: str, name: str) -> None:
    import asyncio

    async def create() -> None:
        connection = await asyncpg.connect(f"{url}/postgres")
        await connection.execute(f"CREATE DATABASE {name}")
        await connection.close()

    asyncio.run(create())


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_for(port: int) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            time.sleep(0.5)
            return
    raise TimeoutError("postgres does not listen")
