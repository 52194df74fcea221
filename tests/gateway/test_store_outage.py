"""A store that dies and comes back: nothing is lost or doubled, nobody is told a wrong 401."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gateway.world import Answer, World, chat, world
from tests.ledger.conftest import running_postgres
from turnout.gateway.access import Access
from turnout.ledger import listed, store_at, verify

ADMIN = {"x-api-key": "admin-key-0123456789"}


def _ask(w: World, key: str) -> Answer:
    return w.post("/v1/chat/completions", chat(max_tokens=20), {"x-api-key": key})


def _eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.apt
def test_postgres_dies_and_comes_back() -> None:
    """503 with a time to come back, never a wrong 401; then all goes on, each call once."""
    with running_postgres() as server:
        place = f"{server.url}/postgres"
        with world(access=Access(admin=ADMIN["x-api-key"]), ledger=place) as w:
            key = w.post("/v1/keys", {"name": "test"}, ADMIN).json()["key"]
            assert _ask(w, key).status == 200
            assert w.get("/readyz").status == 200
            w.upstream.scripts["acme/fast"] = "f-slow2s"
            answers: list[Answer] = []
            under_way = threading.Thread(target=lambda: answers.append(_ask(w, key)))
            under_way.start()
            _eventually(lambda: len(w.upstream.requests) == 2)
            server.stop()
            under_way.join()
            del w.upstream.scripts["acme/fast"]
            refused = _ask(w, key)
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            assert refused.json()["error"]["code"] == "ledger_unavailable"
            _eventually(lambda: w.get("/readyz").json()["status"] == "the ledger cannot record")
            # It may have been made elsewhere just before: nobody can say that it is wrong.
            _eventually(lambda: _ask(w, "tnk_unknown").status == 503)
            assert w.get("/healthz").status == 200
            sent = len(w.upstream.requests)
            server.start()
            _eventually(lambda: w.get("/readyz").status == 200)
            assert sent == 2
            assert _ask(w, key).status == 200
            assert _ask(w, "tnk_unknown").status == 401
            calls = len(w.upstream.invoice)
        store = store_at(place)
        assert verify(store) == []
        assert [line.state for line in listed(store)] == ["settled"] * calls
        assert store.fetch("SELECT count(*) FROM holds") == [(0,)]
        store.close()


def test_a_ledger_that_cannot_be_written_is_not_ready(tmp_path: Path) -> None:
    """Though keys can be read, and models could be called."""
    with world(ledger=str(tmp_path / "ledger.db")) as w:
        assert w.get("/readyz").json()["status"] == "ok"
        w.gateway.engine.parts.means.recorder.close()
        _eventually(lambda: w.get("/readyz").status == 503)
        said = w.get("/readyz").json()
        assert said["status"] == "the ledger cannot record"
        assert said["models"]
