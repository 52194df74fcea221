"""A store that dies and comes back: nothing is lost or doubled, nobody is told a wrong 401."""

import threading
from pathlib import Path

import pytest

from tests.gateway.world import Answer, World, chat, world
from tests.ledger.conftest import running_postgres
from tests.runtime.world import config
from tests.waiting import soon
from turnout import Router
from turnout.gateway.access import Access
from turnout.ledger import latest_requests, store_at, verify
from turnout.ledger.sqlite import SqliteStore

ADMIN = {"x-api-key": "admin-key-0123456789"}


def _ask(w: World, key: str) -> Answer:
    return w.post("/v1/chat/completions", chat(max_tokens=20), {"x-api-key": key})


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
            assert soon(lambda: len(w.upstream.requests) == 2)
            server.stop()
            under_way.join()
            del w.upstream.scripts["acme/fast"]
            refused = _ask(w, key)
            assert (refused.status, refused.headers["retry-after"]) == (503, "1")
            assert refused.json()["error"]["code"] == "ledger_unavailable"
            assert soon(lambda: w.get("/readyz").json()["status"] == "the ledger cannot record")
            # It may have been made elsewhere just before: nobody can say that it is wrong.
            assert soon(lambda: _ask(w, "tnk_unknown").status == 503)
            assert w.get("/healthz").status == 200
            sent = len(w.upstream.requests)
            server.start()
            assert soon(lambda: w.get("/readyz").status == 200)
            assert sent == 2
            assert _ask(w, key).status == 200
            # Until keys were read anew, which is done every 0.4 s, nobody can say.
            assert soon(lambda: _ask(w, "tnk_unknown").status == 401)
            calls = len(w.upstream.invoice)
        store = store_at(place)
        assert verify(store) == []
        assert [line.state for line in latest_requests(store)] == ["settled"] * calls
        assert store.fetch("SELECT count(*) FROM holds") == [(0,)]
        store.close()


def test_a_folder_that_cannot_be_reached_for_a_while_ends_no_watch(tmp_path: Path) -> None:
    """A key that is revoked afterwards, by another process, is out within a second."""
    (tmp_path / "there").mkdir()
    link = tmp_path / "link"
    link.symlink_to("there")
    place = str(link / "ledger.db")
    with world(access=Access(admin=ADMIN["x-api-key"]), ledger=place) as w:
        made = w.post("/v1/keys", {"name": "test"}, ADMIN).json()
        assert _ask(w, made["key"]).status == 200
        link.unlink()
        link.symlink_to("link")  # as a share that is gone: what is there cannot be known
        assert soon(lambda: w.get("/readyz").status == 503)
        assert soon(lambda: _ask(w, "tnk_unknown").status == 503)
        link.unlink()
        link.symlink_to("there")
        assert soon(lambda: _ask(w, made["key"]).status == 200)
        assert soon(lambda: _ask(w, "tnk_unknown").status == 401)
        with Router.from_config(config(w.upstream, ledger=place), environ={}) as other:
            other.accounts.revoke(made["id"])
        assert soon(lambda: _ask(w, made["key"]).status == 401, 3)


def test_a_ledger_that_cannot_be_written_is_not_ready(tmp_path: Path) -> None:
    """Though keys can be read, and models could be called."""
    with world(ledger=str(tmp_path / "ledger.db")) as w:
        assert w.get("/readyz").json()["status"] == "ok"
        w.gateway.engine.parts.means.recorder.close()
        assert soon(lambda: w.get("/readyz").status == 503)
        said = w.get("/readyz").json()
        assert said["status"] == "the ledger cannot record"
        assert said["models"]


def test_models_whose_rate_limit_is_used_up_can_be_called() -> None:
    """They come last, and answer where there is no other."""
    models = dict.fromkeys(("acme/fast", "acme/strong", "acme/coder"), "f-spent30")
    with world(ledger="off") as w:
        w.upstream.scripts.update(models)
        for name in models:
            assert w.post("/v1/chat/completions", chat(model=name)).status == 200
        answer = w.get("/readyz")
        assert (answer.status, set(answer.json()["models"])) == (200, set(models))
        assert w.post("/v1/chat/completions", chat()).status == 200


def test_a_lost_file_opens_nothing_to_everybody(tmp_path: Path) -> None:
    """Once there was a key, nobody passes without one, though another file has none."""
    file = tmp_path / "ledger.db"
    with world(access=Access(admin=ADMIN["x-api-key"]), ledger=str(file)) as w:
        key = w.post("/v1/keys", {"name": "test"}, ADMIN).json()["key"]
        assert _ask(w, key).status == 200
        for name in ("", "-wal", "-shm"):
            Path(f"{file}{name}").unlink()
        assert _ask(w, key).status == 503
        assert _ask(w, "").status in (401, 503)
        other = SqliteStore(tmp_path / "other.db")
        other.open()
        other.close()
        (tmp_path / "other.db").rename(file)
        assert soon(lambda: w.get("/readyz").status == 200)
        assert _ask(w, "").status == 401
        assert _ask(w, key).status == 401


def test_only_the_log_says_where_the_ledger_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A caller gets a code and a time to come back; one line is written for many requests."""
    file = tmp_path / "ledger.db"
    with world(ledger=str(file)) as w:
        assert _ask(w, "").status == 200
        file.unlink()
        refused = [_ask(w, "") for _ in range(5)]
    assert {(answer.status, answer.headers["retry-after"]) for answer in refused} == {(503, "1")}
    assert not any(str(tmp_path) in answer.body.decode() for answer in refused)
    said = [vars(r)["fields"] for r in caplog.records if r.msg == "the ledger cannot be used"]
    assert len(said) == 1
    assert str(file) in said[0]["problem"]
