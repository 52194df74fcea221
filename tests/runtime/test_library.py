"""The library where programs do more than call it: they fork, copy, close."""

import asyncio
import copy
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.world import MODELS, config, router
from turnout import (
    AllRoutesFailed,
    ConfigError,
    Constraints,
    InvalidRequest,
    NoEligibleDeployment,
    Router,
    RouterError,
)
from turnout.core.errors import ContentFiltered
from turnout.testing import FaultyUpstream

# Its first argument is the configuration, its second what to do before and after the fork.
FORKING = """
import asyncio, json, os, signal, sys
from turnout import ConfigError, Router

signal.alarm(30)
router = Router.from_config(json.loads(sys.argv[1]))
doing = {
    "chat": lambda: router.chat("Hello").text,
    "achat": lambda: asyncio.run(router.achat("Hello")).text,
    "route": lambda: router.route("Hello").intent,
}
for step in filter(None, sys.argv[2].split("+")):
    doing[step]()
if os.fork() == 0:
    signal.alarm(20)
    try:
        print(doing[sys.argv[3]](), flush=True)
    except ConfigError as error:
        print("refused:", error, flush=True)
    router.close()
    os._exit(0)
os.wait()
router.chat("Hello")
router.close()
"""


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("", "chat", "fast answers"),
        ("", "achat", "fast answers"),
        ("route", "chat", "fast answers"),
        ("chat", "route", "chat"),
        ("chat", "chat", "refused: this router has worked in the process"),
        ("achat", "achat", "refused: this router has worked in the process"),
    ],
)
def test_a_fork_works_with_a_router_of_its_own(
    before: str, after: str, said: str, tmp_path: Path
) -> None:
    """What was only made before the fork is the child's own; what has worked is refused at once.

    Its threads are not there, so that a call would wait for ever; its parent's calls go on.
    """
    with FaultyUpstream() as upstream:
        settings = json.dumps(config(upstream, ledger=str(tmp_path / "l.db")))
        done = subprocess.run(
            [sys.executable, "-c", FORKING, settings, before, after],
            capture_output=True, text=True, check=False, timeout=60,
            env={**os.environ, "XDG_DATA_HOME": str(tmp_path)},
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert said in done.stdout


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_router_says_that_it_cannot_be_copied(make: object) -> None:
    """What it answers and decides can."""
    with FaultyUpstream() as upstream, router(upstream) as one:
        with pytest.raises(TypeError, match="make one there from the same configuration"):
            make(one)  # type: ignore[operator]
        reply = one.chat("Hello")
        again = pickle.loads(pickle.dumps(reply))  # noqa: S301 -- our own
        assert again == copy.deepcopy(reply) == reply


@pytest.mark.parametrize(
    ("model", "limit", "kind"),
    [
        ("fast", None, ContentFiltered),
        ("strong", None, AllRoutesFailed),
        ("coder", 1, NoEligibleDeployment),
        ("nobody", None, InvalidRequest),
    ],
)
def test_an_error_can_be_sent_to_another_process(
    model: str, limit: int | None, kind: type[RouterError]
) -> None:
    """A pool of processes would otherwise break, or wait for ever, where one of its calls fails."""
    limits = Constraints(max_cost_pico_usd=limit)
    with FaultyUpstream(scripts={"acme/fast": "f-filter", "acme/strong": "f-500"}) as upstream:
        with router(upstream) as one, pytest.raises(kind) as raised:
            one.chat("Hello", model=model, constraints=limits)
    error = raised.value
    for again in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):  # noqa: S301 -- our own
        assert type(again) is kind
        assert str(again) == str(error)
        assert vars(again) == vars(error)


def test_bytes_are_no_prompt() -> None:
    """They are a sequence, but not one of messages."""
    with FaultyUpstream() as upstream, router(upstream) as one:
        with pytest.raises(InvalidRequest, match="a prompt cannot be bytes"):
            one.chat(b"Hello")  # type: ignore[call-overload]


def test_a_request_takes_nothing_beside_it() -> None:
    """A model, limits or fields of the body beside it were ignored."""
    with FaultyUpstream() as upstream, router(upstream) as r:
        request = r.request("Hello", model="fast")
        assert r.route(request, model=None).model == MODELS["fast"]
        for more in ({"model": "strong"}, {"max_tokens": 5}, {"constraints": Constraints()}):
            (name,) = more
            with pytest.raises(InvalidRequest, match="a Request has its own; set it there") as told:
                r.route(request, **more)
            assert told.value.field == name


def test_what_is_no_model_and_no_feedback_is_refused_by_name() -> None:
    """By the library itself, where nothing is recorded too."""
    with FaultyUpstream() as upstream, router(upstream) as one:
        with pytest.raises(InvalidRequest, match="model is 5; use 'auto' or a model's name"):
            one.route({"messages": [{"role": "user", "content": "Hello"}], "model": 5})
        decision = one.route("Hello")
        for metric, value, said in (("", 1, "metric is ''"), ("stars", float("nan"), "value is")):
            with pytest.raises(InvalidRequest, match=said):
                one.feedback(decision.id, metric, value)


def test_a_closed_router_says_so() -> None:
    """In place of what its threads and its ledger would say; closing it again is harmless."""
    with FaultyUpstream() as upstream:
        with router(upstream) as one:
            one.chat("Hello")
        one.close()
        with pytest.raises(ConfigError, match="this router is closed"):
            one.chat("Hello")
        with pytest.raises(ConfigError, match="this router is closed"):
            asyncio.run(one.achat("Hello", stream=True))


def test_limits_of_another_type_are_refused() -> None:
    """A dictionary has the same words, and none of them would hold."""
    with FaultyUpstream() as upstream, router(upstream) as one:
        with pytest.raises(InvalidRequest, match=r"give turnout\.Constraints"):
            one.route("Hello", constraints={"quality": 0.9})
        for limits, said in (
            ({"quality": 95}, "quality is 95; give a share from 0 to 1"),
            ({"quality": float("nan")}, "quality is nan"),
            ({"max_cost_pico_usd": -1}, "max_cost_pico_usd is -1; give a number"),
            ({"max_latency_ms": "5"}, "max_latency_ms is '5'"),
            ({"allow": "fast"}, "allow is 'fast'; give a set of models"),
        ):
            with pytest.raises(InvalidRequest, match=said):
                one.route("Hello", constraints=Constraints(**limits))  # type: ignore[arg-type]
        assert one.route("Hello", constraints=Constraints(deny={"fast"})).model != MODELS["fast"]


@pytest.mark.parametrize("given", [None, 3, ["models"], [("models", {})], b"models: {}"])
def test_what_is_no_configuration_is_refused_by_its_type(given: Any) -> None:
    """With what is wanted instead."""
    kind = type(given).__name__
    wanted = f"the configuration has the type {kind}; give a mapping of settings, or YAML text"
    with pytest.raises(ConfigError, match=wanted):
        Router.from_config(given)
    with pytest.raises(ConfigError, match=f"file has the type {kind}; give its path"):
        Router.from_file(given)


def test_a_path_is_taken_where_one_is_meant(tmp_path: Path) -> None:
    """As a value; a file's name in place of settings says where it belongs."""
    with FaultyUpstream() as upstream:
        place = tmp_path / "l.db"
        with Router.from_config(config(upstream, ledger=place), environ={}) as one:
            one.chat("Hello")
        assert place.exists()
    for name in ("turnout.yaml", tmp_path / "turnout.yml", tmp_path):
        with pytest.raises(ConfigError, match=r"give it to Router\.from_file"):
            Router.from_config(name)  # type: ignore[arg-type]
