"""What a changed file changes, while requests go on."""

import asyncio
import http.client
import json
import logging
import socket
import ssl
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.gateway.world import chat
from tests.providers.test_tls import certificate
from tests.runtime.world import config
from tests.waiting import soon, soon_here
from turnout import Router
from turnout.core import Budget, BudgetExceeded, ConfigError, NoEligibleDeployment, RouterError
from turnout.core.caller import key_hash
from turnout.gateway.access import Access
from turnout.gateway.app import Gateway
from turnout.gateway.reload import Reloader
from turnout.gateway.serve import serve
from turnout.ledger import store_at
from turnout.ledger.file_owner import FileOwner, owner_address
from turnout.runtime import NoRecorder
from turnout.testing import FaultyUpstream, Served, serving


async def test_a_broken_configuration_is_not_taken() -> None:
    """The old router serves on until the file can be taken whole; the recorder moves along."""
    with FaultyUpstream() as upstream:
        settings = config(upstream)
        gateway = Gateway(Router.from_config(settings, environ={}, recorder=NoRecorder()))
        first = gateway.engine

        def build() -> Router:
            return Router.from_config(settings, environ={})

        reloader = Reloader(gateway, build, linger_s=0)
        settings["default"] = "nobody"
        assert not await reloader.reload()
        assert gateway.engine is first
        settings["default"] = "coder"
        assert await reloader.reload()
        assert gateway.engine.parts.config.default == "coder"
        assert gateway.engine.parts.means.recorder is first.parts.means.recorder
        await asyncio.sleep(0.05)
        await gateway.engine.aclose()


async def test_a_stream_outlives_a_reload_that_removes_its_model(tmp_path: Path) -> None:
    """It ends as it would have, at the price it began with, however long it may take."""
    with FaultyUpstream() as upstream:
        settings = config(
            upstream, models={"coder": "acme/f-drip20ms"}, timeouts={"total_s": 20},
            ledger=str(tmp_path / "ledger.db"),
        )  # fmt: skip
        gateway = Gateway(Router.from_config(settings, environ={}))
        old = gateway.engine
        reloader = Reloader(gateway, lambda: Router.from_config(settings, environ={}), linger_s=0)
        with old.cohort:
            stream = await old.achat("Tell me something", model="coder", stream=True)
            pieces = [await anext(stream)]
            del settings["models"]["coder"]
            settings["intents"]["code"] = "fast"
            assert await reloader.reload()
            assert "coder" not in gateway.engine.parts.config.models
            pieces += [piece async for piece in stream]
        assert pieces[-1]["choices"][0]["finish_reason"] == "stop"
        assert len(upstream.invoice) == 1
        await old.retire(recording=True)
        await gateway.engine.aclose()
    rows = store_at(tmp_path / "ledger.db").fetch("SELECT cost FROM calls")
    assert len(rows) == 1
    assert rows[0][0] > 0


async def test_budgets_and_models_of_keys_are_those_of_the_file_as_it_is(tmp_path: Path) -> None:
    """At once, though the ledger stays the same."""
    with FaultyUpstream() as upstream:
        settings = config(upstream, ledger=str(tmp_path / "ledger.db"))
        gateway = Gateway(Router.from_config(settings, environ={}))
        reloader = Reloader(gateway, lambda: Router.from_config(settings, environ={}), linger_s=0)
        accounts = gateway.engine.accounts
        _, parent = accounts.make_key(name="a", models=["fast"])
        secret, _ = accounts.make_key(name="b", models=["acme/fast"], parent=parent.id)
        caller = accounts.caller(key_hash(secret))
        assert caller is not None
        assert caller.models == frozenset({"fast", "acme/fast"})
        settings["models"]["fast"]["model"] = "acme/other"
        settings["budgets"] = [{"per": "all", "window": "total", "requests": 0}]
        assert await reloader.reload()
        assert isinstance(gateway.engine, Router)
        with pytest.raises(BudgetExceeded):
            await gateway.engine.achat("Hello")
        caller = gateway.engine.accounts.caller(key_hash(secret))
        assert caller is not None
        assert caller.models == frozenset()
        await asyncio.sleep(0.05)
        await gateway.engine.aclose()


async def test_calls_that_began_before_a_reload_keep_their_places() -> None:
    """A model that may have one call at a time gets no second one by a reload."""
    async with FaultyUpstream(scripts={"acme/coder": "f-slow300ms"}) as upstream:
        settings = config(
            upstream, ledger="off", health={"max_in_flight": 1}, fallbacks={"coder": []}
        )
        gateway = Gateway(Router.from_config(settings, environ={}))
        reloader = Reloader(gateway, lambda: Router.from_config(settings, environ={}), linger_s=0)
        old = gateway.engine
        under_way = asyncio.create_task(old.achat("Hello", model="coder"))
        assert await soon_here(lambda: len(upstream.requests) == 1)
        with old.cohort:
            assert await reloader.reload()
            with pytest.raises(NoEligibleDeployment, match="at its limit of 1 calls"):
                await gateway.engine.achat("Hello", model="coder")
            await under_way
        await gateway.engine.achat("Hello", model="coder")
        assert len(upstream.requests) == 2
        await asyncio.sleep(0.05)
        await gateway.engine.aclose()


async def test_a_budget_that_loses_its_model_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By a reload that renames the model, and at each later start."""
    with FaultyUpstream() as upstream:
        settings = config(upstream, ledger=str(tmp_path / "ledger.db"))
        gateway = Gateway(Router.from_config(settings, environ={}))
        gateway.prepare()
        for model in ("fast", "coder", None):
            budget = Budget(per="model", name=model, window="day", unit="usd", limit=10**12)
            gateway.engine.accounts.set_budget(budget)
        settings["models"]["programmer"] = settings["models"].pop("coder")
        settings["intents"]["code"] = "programmer"
        with caplog.at_level(logging.WARNING, "turnout.gateway"):
            for _ in range(2):
                assert await Reloader(gateway, lambda: Router.from_config(settings)).reload()
        named = [vars(r)["fields"] for r in caplog.records if "not configured" in r.message]
        assert named == [{"budgets": ["model:coder:day:usd"]}] * 2
        caplog.clear()
        gateway.prepare()
        assert caplog.text.count("not configured") == 1
        await gateway.engine.aclose()


async def test_half_of_a_file_is_not_taken(tmp_path: Path) -> None:
    """What is written on while it is read is read again, though its first half makes sense."""
    path = tmp_path / "turnout.yaml"
    with FaultyUpstream() as upstream:
        text = yaml.safe_dump(config(upstream, ledger=str(tmp_path / "ledger.db")))
        limit = yaml.safe_dump({"budgets": [{"per": "all", "window": "day", "usd": 5}]})
        path.write_text(text + limit)
        gateway = Gateway(Router.from_file(path))
        seen: list[str] = []

        def build() -> Router:
            seen.append(path.read_text())
            router = Router.from_file(path)
            with path.open("a") as file:
                file.write(limit if len(seen) == 1 else "")
            return router

        reloader = Reloader(gateway, build, [path], linger_s=0)
        path.write_text(text)
        first = gateway.engine
        assert not await reloader.reload()
        assert gateway.engine is first
        assert gateway.engine.accounts.budgets
        watching = asyncio.create_task(reloader.run())
        assert await soon_here(lambda: gateway.engine is not first)
        watching.cancel()
        assert seen == [text, text + limit]
        assert gateway.engine.accounts.budgets
        await gateway.engine.aclose()


async def test_a_rate_limit_that_is_met_during_a_reload_is_kept_to() -> None:
    """While the new configuration is prepared, and by a request that began before it was taken."""
    told: list[str] = []
    with FaultyUpstream(
        scripts={f"acme/{n}": "f-429-ra60" for n in ("fast", "strong")}
    ) as upstream:
        old, new = (Router.from_config(config(upstream, ledger="off"), environ={}) for _ in "12")
        gateway = Gateway(old)
        gateway.on_cooldown(lambda cooldown: told.append(cooldown.deployment))
        new.take_over(old)
        with pytest.raises(RouterError):
            await old.achat("Hello", model="fast")
        assert gateway.replace_engine(new) is old
        assert new.cooling() == {"fast": True, "strong": False, "coder": False}
        with pytest.raises(RouterError):
            await old.achat("Hello", model="strong")
        assert new.cooling() == {"fast": True, "strong": True, "coder": False}
        assert len(told) == len(set(told)) == 2
        for engine in (old, new):
            await engine.aclose()


def _write_and_wait(served: Served, settings: dict[str, Any], says: str = "reloaded") -> None:
    """Writes the file, and waits until the log says what became of it."""
    before = served.log().count(says)
    served.config_path.write_text(yaml.safe_dump({"ledger": "off", **settings}))
    assert soon(lambda: served.log().count(says) > before)


def _status(served: Served, headers: dict[str, str] | None = None) -> int:
    link = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    link.request("POST", "/v1/chat/completions", json.dumps(chat()), headers or {})
    status = link.getresponse().status
    link.close()
    return status


def test_origins_are_those_of_the_file_as_it_is() -> None:
    """Pages of a new origin may call, and those of one that was taken out no more."""
    page = {"origin": "https://app.example.org"}
    with FaultyUpstream() as upstream, serving(config(upstream)) as served:
        assert _status(served, page) == 403
        _write_and_wait(served, config(upstream, serve={"origins": [page["origin"]]}))
        assert _status(served, page) == 200
        _write_and_wait(served, config(upstream))
        assert _status(served, page) == 403


def test_another_ledger_is_open_before_it_is_served_from(tmp_path: Path) -> None:
    """No request in between finds it closed."""
    with FaultyUpstream() as upstream:
        with serving(config(upstream, ledger=str(tmp_path / "one.db"))) as served:
            found = {_status(served)}
            assert owner_address(str(tmp_path / "one.db")) is not None
            path, said = served.config_path, served.log().count("reloaded")
            path.write_text(path.read_text().replace("one.db", "two.db"))
            until = time.monotonic() + 20
            while served.log().count("reloaded") == said and time.monotonic() < until:
                found.add(_status(served))
            found |= {_status(served) for _ in range(10)}
            assert found == {200}
            assert (tmp_path / "two.db").exists()
            # Commands write to the first one themselves again, which another gateway may soon have.
            assert owner_address(str(tmp_path / "one.db")) is None
            assert soon(lambda: _is_free(tmp_path / "one.db"))
            # And the second one has its gateway, through which they write.
            assert owner_address(str(tmp_path / "two.db")) is not None
            with pytest.raises(ConfigError, match="has a gateway already"):
                FileOwner(str(tmp_path / "two.db")).__enter__()


def _is_free(file: Path) -> bool:
    try:
        with FileOwner(str(file)):
            return True
    except ConfigError:
        return False


def test_a_ledger_that_is_left_stays_ours_until_its_streams_are_settled(tmp_path: Path) -> None:
    """Then another gateway may have it."""
    one, two = tmp_path / "one.db", tmp_path / "two.db"
    with FaultyUpstream(scripts={"acme/coder": "f-drip50ms-tokens200"}) as upstream:
        made = config(upstream, ledger=str(one), timeouts={"total_s": 60})
        with serving(made) as served:
            assert _status(served) == 200
            link = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
            body = json.dumps(chat(model="coder", stream=True))
            link.request("POST", "/v1/chat/completions", body)
            stream = link.getresponse()
            stream.read(100)
            _write_and_wait(served, {**made, "ledger": str(two)})
            for _ in range(3):
                assert not _is_free(one)
                time.sleep(0.5)
            assert stream.read().endswith(b"data: [DONE]\n\n")
            link.close()
            assert soon(lambda: _is_free(one))
            assert not _is_free(two)
        assert _is_free(two)
    found = store_at(one).fetch("SELECT (SELECT count(*) FROM calls), (SELECT count(*) FROM holds)")
    assert found == [(2, 0)]


def test_a_ledger_that_another_gateway_has_is_not_taken(tmp_path: Path) -> None:
    """Though that one rests just now; the old one serves on, and keeps its own file."""
    with FaultyUpstream() as upstream:
        with serving(config(upstream, ledger=str(tmp_path / "one.db"))) as served:
            with FileOwner(str(tmp_path / "two.db")):
                _write_and_wait(
                    served, config(upstream, ledger=str(tmp_path / "two.db")), "is not used"
                )
                assert "has a gateway already" in served.log()
                assert _status(served) == 200
                assert owner_address(str(tmp_path / "one.db")) is not None
            _write_and_wait(
                served, config(upstream, ledger=str(tmp_path / "two.db"), default="coder")
            )
            assert _status(served) == 200
            assert owner_address(str(tmp_path / "two.db")) is not None


@pytest.mark.parametrize("place", ["file/ledger.db", "postgresql://nobody@127.0.0.1:1/none"])
def test_a_ledger_that_cannot_be_opened_is_not_taken(tmp_path: Path, place: str) -> None:
    """The old configuration serves on, and records where it did."""
    (tmp_path / "file").write_text("not a folder")
    place = place if "://" in place else str(tmp_path / place)
    with FaultyUpstream() as upstream:
        with serving(config(upstream, ledger=str(tmp_path / "one.db"))) as served:
            _write_and_wait(served, config(upstream, ledger=place), "is not used")
            assert _status(served) == 200


async def test_a_failure_that_nobody_expected_does_not_end_the_watch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said, and the next change is taken."""
    path = tmp_path / "turnout.yaml"
    path.write_text("one")
    with FaultyUpstream() as upstream:
        settings = config(upstream)
        gateway = Gateway(Router.from_config(settings, environ={}, recorder=NoRecorder()))
        first = gateway.engine

        def build() -> Router:
            if path.read_text() == "two":
                raise KeyError("a defect")
            return Router.from_config(settings, environ={})

        with caplog.at_level(logging.ERROR, "turnout.gateway"):
            watching = asyncio.create_task(Reloader(gateway, build, [path], linger_s=0).run())
            path.write_text("two")
            assert await soon_here(lambda: "is not used" in caplog.text)
            assert gateway.engine is first
            path.write_text("three")
            assert await soon_here(lambda: gateway.engine is not first)
        watching.cancel()
        await gateway.engine.aclose()


async def test_a_change_while_a_worker_starts_is_taken_by_it(tmp_path: Path) -> None:
    """It has read the file by then, and watches it only once all else is loaded."""
    path, read = tmp_path / "turnout.yaml", list[str]()
    path.write_text("old")
    with FaultyUpstream() as upstream, socket.socket() as listener:
        settings = config(upstream, ledger="off")

        def build() -> Router:
            read.append(path.read_text())
            return Router.from_config(settings, environ={})

        def change_once(_: object) -> None:
            if read == ["old"]:
                path.write_text("new one")

        listener.bind(("127.0.0.1", 0))
        listener.listen()
        serving_here = asyncio.create_task(
            serve(build, listener, access=Access(), config_path=path, before_serving=change_once)
        )
        assert await soon_here(lambda: read == ["old", "new one"])
        serving_here.cancel()
        with suppress(asyncio.CancelledError):
            await serving_here


async def test_a_file_that_is_deleted_is_told_once_and_so_is_its_return(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read from it stays in force; the same file again changes nothing."""
    monkeypatch.setattr("turnout.gateway.reload._INTERVAL_S", 0.01)
    path, aside = tmp_path / "turnout.yaml", tmp_path / "aside"
    path.write_text("one")
    with FaultyUpstream() as upstream:
        made = Router.from_config(config(upstream), environ={}, recorder=NoRecorder())
        gateway = Gateway(made)
        with caplog.at_level(logging.INFO, "turnout.gateway"):
            watching = asyncio.create_task(Reloader(gateway, lambda: made, [path]).run())
            path.rename(aside)
            assert await soon_here(lambda: "is missing" in caplog.text)
            await asyncio.sleep(0.05)
            aside.rename(path)
            assert await soon_here(lambda: "is back" in caplog.text)
        watching.cancel()
        assert caplog.text.count("is missing") == caplog.text.count("is back") == 1
        assert "reloaded" not in caplog.text
        await made.aclose()


def test_a_renewed_certificate_is_shown_without_a_restart(tmp_path: Path) -> None:
    """A key that does not fit changes nothing; the pair does."""
    cert, key = certificate(tmp_path)
    (tmp_path / "next").mkdir()
    next_cert, next_key = certificate(tmp_path / "next")
    with FaultyUpstream() as upstream:
        options = ["--tls-cert", str(cert), "--tls-key", str(key)]
        with serving(config(upstream), options=options) as served:
            place = ("127.0.0.1", served.port)
            assert ssl.get_server_certificate(place) == cert.read_text()
            old = cert.read_text()
            next_key.replace(key)
            assert soon(lambda: "is not used" in served.log())
            assert ssl.get_server_certificate(place) == old
            next_cert.replace(cert)
            assert soon(lambda: ssl.get_server_certificate(place) == cert.read_text())
            assert "--tls-key" in served.log()


def test_an_address_that_others_reach_opens_by_keys_alone_whatever_ledger_it_has(
    tmp_path: Path,
) -> None:
    """Keys in the ledger are enough to start, and one without any opens the door to nobody."""
    with FaultyUpstream() as upstream:
        settings = config(upstream, ledger=str(tmp_path / "keys.db"))
        with Router.from_config(settings, environ={}) as router:
            secret, _ = router.accounts.make_key(name="a")
        key = {"authorization": f"Bearer {secret}"}
        with serving(settings, options=["--host", "0.0.0.0"]) as served:  # noqa: S104
            assert [_status(served, given) for given in ({}, key)] == [401, 200]
            _write_and_wait(served, {**settings, "ledger": str(tmp_path / "none.db")})
            assert [_status(served, given) for given in ({}, key)] == [401, 401]
