"""What the library and the command line do is in the ledger, by default and never elsewhere."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.world import CODE, UNSAFE, config, replied, router
from tests.waiting import soon
from turnout import InvalidRequest, Router
from turnout.core import ConfigError, LedgerError, Request
from turnout.ledger import (
    Line,
    Store,
    decision_of,
    latest_requests,
    request_details,
    store_at,
    verify,
)
from turnout.testing import FaultyUpstream


def _read(folder: Path) -> Store:
    return store_at(folder / "turnout" / "ledger.db")


def test_calls_are_recorded_in_the_data_folder(tmp_path: Path) -> None:
    """Without a word about a ledger, a call is in the user's data folder, at its receipt's cost."""
    with FaultyUpstream() as upstream:
        with Router.from_config(config(upstream), environ={"XDG_DATA_HOME": str(tmp_path)}) as r:
            reply = r.chat(CODE)
    (line,) = latest_requests(_read(tmp_path))
    assert line.id == reply.decision.id
    assert line.cost_pico_usd == reply.cost_pico_usd
    assert decision_of(_read(tmp_path), line.id)[1] == reply.decision
    text = (tmp_path / "turnout" / "ledger.db").read_bytes()
    assert CODE.encode() not in text


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["f-costs", "f-byok"])
def test_what_openrouter_says_it_charged_is_what_a_call_costs(
    tmp_path: Path, model: str, *, stream: bool
) -> None:
    """Also by an own key, where its charge of 0 leaves out that of the provider behind it."""
    line, found = _one_call(tmp_path, {"preset": "openrouter"}, model, stream=stream)
    assert line.cost_pico_usd == found.pop("reply") == 20_000_000_000
    assert found == {"source": "the provider's answer", "findings": []}


def test_a_cost_in_the_answer_of_any_other_provider_is_not_believed(tmp_path: Path) -> None:
    """It could understate: its call costs what the price book says."""
    line, found = _one_call(tmp_path, {}, "f-costs")
    assert line.cost_pico_usd == found["reply"] != 20_000_000_000
    assert found["source"] == "turnout.yaml"


def _one_call(
    folder: Path, provider: dict[str, Any], model: str, *, stream: bool = False
) -> tuple[Line, dict[str, Any]]:
    """The ledger's line of one call, its cost in the reply, the source of that, and faults."""
    environ = {"XDG_DATA_HOME": str(folder)}
    with FaultyUpstream() as upstream:
        settings = config(upstream, models={"coder": model})
        settings["providers"]["acme"] |= provider
        with Router.from_config(settings, environ=environ) as r:
            reply = replied(r, CODE, stream=stream)
    store = _read(folder)
    (line,) = latest_requests(store)
    ((source,),) = store.fetch("SELECT source FROM prices")
    return line, {"reply": reply.cost_pico_usd, "source": source, "findings": verify(store)}


def test_ledger_off_writes_nothing(tmp_path: Path) -> None:
    """``ledger: off``, as YAML reads it too, leaves no file."""
    for off in ("off", False):
        with FaultyUpstream() as upstream:
            environ = {"XDG_DATA_HOME": str(tmp_path)}
            with Router.from_config(config(upstream, ledger=off), environ=environ) as r:
                r.chat(CODE)
    assert list(tmp_path.iterdir()) == []


def test_a_stream_is_settled_when_it_ends(tmp_path: Path) -> None:
    """The end of a stream follows the settlement; what was streamed is what is billed."""
    with FaultyUpstream() as upstream:
        with Router.from_config(config(upstream), environ={"XDG_DATA_HOME": str(tmp_path)}) as r:
            for _ in r.chat(CODE, stream=True):
                pass
            assert latest_requests(_read(tmp_path))[0].state == "settled"
    (entry,) = upstream.invoice
    (call,) = request_details(_read(tmp_path), latest_requests(_read(tmp_path))[0].id)["calls"]
    assert call["input"] == entry.prompt_tokens
    assert call["output"] == entry.completion_tokens


def test_a_blocked_request_is_recorded_and_costs_nothing(tmp_path: Path) -> None:
    """A refusal is a decision like any other, at no cost."""
    with FaultyUpstream() as upstream:
        with Router.from_config(config(upstream), environ={"XDG_DATA_HOME": str(tmp_path)}) as r:
            r.chat(UNSAFE)
    (line,) = latest_requests(_read(tmp_path))
    assert (line.blocked, line.cost_pico_usd, line.state) == (True, 0, "settled")


def test_a_label_is_paid_for_even_when_the_request_fails(tmp_path: Path) -> None:
    """A label was asked, then the model asked for turned out not to exist: its cost is kept."""
    asking = {"classifier": {"kind": "llm", "model": "fast", "deadline_s": 2}}
    environ = {"XDG_DATA_HOME": str(tmp_path)}
    with FaultyUpstream() as upstream:
        with Router.from_config(config(upstream, **asking), environ=environ) as r:
            with pytest.raises(InvalidRequest):
                r.chat(CODE, model="no-such-model")
    (line,) = latest_requests(_read(tmp_path))
    assert (line.state, len(upstream.invoice)) == ("released", 1)
    (call,) = request_details(_read(tmp_path), line.id)["calls"]
    assert (call["role"], call["input"]) == ("classifier", upstream.invoice[0].prompt_tokens)
    assert verify(_read(tmp_path)) == []


def test_what_cannot_be_recorded_holds_nothing(tmp_path: Path) -> None:
    """A label was asked, then a name that is no text stops the record: its cost is kept alone."""
    asking = {"classifier": {"kind": "llm", "model": "fast", "deadline_s": 2}}
    body = {"messages": [{"role": "user", "content": CODE}]}
    environ = {"XDG_DATA_HOME": str(tmp_path)}
    with FaultyUpstream() as upstream:
        with Router.from_config(config(upstream, **asking), environ=environ) as r:
            with pytest.raises(TypeError, match="surrogates"):
                r.chat(Request(id="r_1", body=body, session="half an emoji: \ud83d"))
            assert _read(tmp_path).fetch("SELECT count(*) FROM holds") == [(0,)]
    (line,) = latest_requests(_read(tmp_path))
    assert (line.state, len(upstream.invoice)) == ("released", 1)
    assert verify(_read(tmp_path)) == []


def test_nothing_is_spent_that_cannot_be_recorded(tmp_path: Path) -> None:
    """With a ledger that cannot be opened, no byte goes upstream, and one line says why."""
    (tmp_path / "file").touch()
    place = str(tmp_path / "file" / "ledger.db")
    with FaultyUpstream() as upstream:
        with router(upstream, ledger=place) as r:
            with pytest.raises((ConfigError, LedgerError), match="cannot be made"):
                r.chat(CODE)
    assert upstream.invoice == []


@pytest.mark.parametrize("taken", [0, 1])
def test_a_stream_that_is_closed_frees_its_hold(tmp_path: Path, taken: int) -> None:
    """At once, whether or not anything was read; the budget must not wait for the router's end."""
    environ = {"XDG_DATA_HOME": str(tmp_path)}
    budget = {"per": "all", "window": "total", "usd": 5}
    with FaultyUpstream() as upstream:
        with Router.from_config(config(upstream, budgets=[budget]), environ=environ) as r:
            with r.chat(CODE, stream=True) as stream:
                for _ in range(taken):
                    next(iter(stream))
            assert _read(tmp_path).fetch("SELECT count(*) FROM holds") == [(0,)]
            assert _read(tmp_path).fetch("SELECT held FROM balances") == [(0,)]


@pytest.mark.parametrize("taken", [0, 1])
@pytest.mark.parametrize("closing", [False, True])
def test_a_stream_that_nobody_holds_any_more_frees_its_hold(
    tmp_path: Path, taken: int, *, closing: bool
) -> None:
    """At once, or before the router has closed; what was read is settled."""
    environ = {"XDG_DATA_HOME": str(tmp_path)}
    with FaultyUpstream() as upstream:
        with Router.from_config(config(upstream), environ=environ) as r:
            for _, _chunk in zip(range(taken), r.chat(CODE, stream=True), strict=False):
                pass
            if not closing:
                assert soon(lambda: _read(tmp_path).fetch("SELECT count(*) FROM holds") == [(0,)])
    (line,) = latest_requests(_read(tmp_path))
    assert line.state == ("settled", "estimated")[taken]
    assert _read(tmp_path).fetch("SELECT count(*) FROM holds") == [(0,)]


def test_a_stream_may_be_collected_by_the_thread_that_reads_it() -> None:
    """In a cycle, as an exception makes one: that thread would wait for itself for ever."""
    program = """
import gc
from tests.runtime.world import CODE, router
from turnout.testing import FaultyUpstream

async def collect():
    gc.collect()

with FaultyUpstream() as upstream, router(upstream, ledger="off") as r:
    stream = r.chat(CODE, stream=True)
    next(iter(stream))
    cycle = {"stream": stream}
    cycle["cycle"] = cycle
    del stream, cycle
    r._loop.run(collect())
    print(r.chat(CODE).text)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout


@pytest.mark.parametrize("taken", [0, 1])
def test_a_stream_that_is_left_is_settled_when_the_router_closes(
    tmp_path: Path, taken: int
) -> None:
    """Whoever leaves after a first chunk, or before it, leaves no hold and no complaint behind."""
    environ = {"XDG_DATA_HOME": str(tmp_path)}
    with FaultyUpstream() as upstream:
        with Router.from_config(config(upstream), environ=environ) as r:
            stream = iter(r.chat(CODE, stream=True))
            for _ in range(taken):
                next(stream)
        stream.close()  # as the interpreter does once nobody has it any more
    (line,) = latest_requests(_read(tmp_path))
    assert line.state == ("settled", "estimated")[taken]
    assert _read(tmp_path).fetch("SELECT count(*) FROM holds") == [(0,)]
    assert not [t for t in threading.enumerate() if t.name == "turnout"]
