"""When a refusal says to come back, and to whom it says so."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.world import Answer, chat, messages, world
from tests.runtime.world import CODE
from turnout.gateway.metrics import Metrics
from turnout.ledger import store_at

DIALECTS: Mapping[str, Mapping[str, Any]] = {
    "/v1/chat/completions": chat(model="fast"),
    "/v1/messages": messages(model="fast"),
    "/v1/responses": {"model": "fast", "input": "hi"},
}


def wait_s(answer: Answer) -> float:
    """The time that the answer names, in seconds."""
    return int(answer.headers["retry-after-ms"]) / 1e3


@pytest.mark.parametrize("path", DIALECTS)
def test_a_model_that_is_rate_limited_says_when_it_is_back(path: str) -> None:
    """A 429 with the time that its provider named, though other models could be asked."""
    with world(models={"fast": "f-429-ra30"}) as w:
        answers = [w.post(path, DIALECTS[path]) for _ in range(3)]
        assert len(w.upstream.entries("f-429-ra30")) == 1
    assert [a.status for a in answers] == [429, 429, 429]
    assert all(25 < wait_s(a) <= 30 for a in answers)
    assert all(a.headers["x-should-retry"] == "true" for a in answers)


def test_a_model_that_fails_says_when_it_is_tried_again() -> None:
    """Its own time, not that of models which the request did not ask for."""
    health = {"failures": 1, "cooldown_s": 20}
    with world(models={"fast": "f-500"}, health=health) as w:
        w.post("/v1/chat/completions", chat(model="fast"))
        answer = w.post("/v1/chat/completions", chat(model="fast"))
    assert (answer.status, answer.json()["error"]["code"]) == (503, "all_models_cooling_down")
    assert 15 < wait_s(answer) <= 20


def test_nobody_is_told_to_try_again_after_more_than_a_minute() -> None:
    """Clients that try again by themselves do not wait for so long."""
    with world(models={"fast": "f-429-ra3600"}) as w:
        answers = [w.post("/v1/chat/completions", chat(model="fast")) for _ in range(2)]
    for answer in answers:
        assert (answer.status, answer.headers["x-should-retry"]) == (429, "false")
        assert 3500 < wait_s(answer) <= 3600


@pytest.mark.parametrize("fault", ["f-spend", "f-401", "f-402", "f-404"])
def test_what_its_operator_has_to_mend_names_no_time(fault: str) -> None:
    """A refused key, no credit, no such model: waiting does not help."""
    with world(models={"fast": fault}, speaks={"strong": "anthropic"}) as w:
        w.post("/v1/chat/completions", chat(model="fast"))
        answer = w.post("/v1/chat/completions", chat(model="fast"))
    assert (answer.status, answer.json()["error"]["code"]) == (503, "all_models_cooling_down")
    assert answer.headers["x-should-retry"] == "false"
    assert "retry-after" not in answer.headers


def test_what_no_window_can_take_is_not_told_to_wait_for_the_next(tmp_path: Path) -> None:
    """More than the whole budget, or without a price: another day does not help."""
    budgets = [{"per": "all", "window": "day", "usd": 0.001}]
    own = {"model": "acme/own", "price": "unknown"}
    more = {"ledger": str(tmp_path / "l.db"), "budgets": budgets, "embedding": {"own": own}}
    with world(**more) as w:
        large = w.post("/v1/chat/completions", chat(model="strong", max_tokens=5000))
        unpriced = w.post("/v1/chat/completions", chat(model="own"))
    for answer in (large, unpriced):
        assert answer.status == 402
        assert "retry-after" not in answer.headers
    assert store_at(tmp_path / "l.db").fetch("SELECT count(*) FROM requests") == [(0,)]


def test_more_than_a_whole_rate_limit_is_not_asked_for_again(tmp_path: Path) -> None:
    """A 429 says when the window ends, and that another try would not fit either."""
    budgets = [{"per": "all", "window": "minute", "tokens": 1000}]
    with world(ledger=str(tmp_path / "l.db"), budgets=budgets) as w:
        answer = w.post("/v1/chat/completions", chat(model="fast", max_tokens=5000))
    assert (answer.status, answer.headers["x-should-retry"]) == (429, "false")
    assert 0 < wait_s(answer) <= 60


async def test_metrics_forget_the_cooldown_of_what_is_configured_no_longer() -> None:
    """Else an alarm about a model that was removed would never end."""
    metrics = Metrics()
    metrics.cooling({"gone": True, "stays": True})
    metrics.cooling({"stays": True})
    lines = metrics.text().decode().splitlines()
    assert 'turnout_cooling{deployment="gone"} 0.0' in lines
    assert 'turnout_cooling{deployment="stays"} 1.0' in lines


@pytest.mark.parametrize(
    ("fault", "per", "said"),
    [
        ("f-500", "model", (503, "all_models_cooling_down")),
        ("f-429-ra20", "model", (429, "rate_limit_exceeded")),
        ("f-500", "all", (503, "all_models_cooling_down")),
        ("f-404", "model", (402, "budget_exceeded")),
    ],
)
def test_who_cools_down_is_waited_for_where_only_a_dearer_model_has_no_room(
    tmp_path: Path, fault: str, per: str, said: tuple[int, str]
) -> None:
    """Not for a budget's end; but for nobody whom an operator has to mend."""
    full = {"per": per, "window": "month", "usd": "0.000001", "when_full": "cheaper"}
    if per == "model":
        full["name"] = "fast"
    budgets: Mapping[str, Any] = {
        "models": {"coder": fault},
        "fallbacks": {"coder": ["fast"]},
        "prices": {"coder": {"input": "0", "output": "0"}},
        "health": {"failures": 1, "cooldown_s": 20},
        "retries": {"retries": 0},
        "ledger": str(tmp_path / "l.db"),
        "budgets": [full],
    }
    with world(**budgets) as w:
        for model in ("coder", "strong"):
            w.post("/v1/chat/completions", chat(CODE, model=model, max_tokens=50))
        answer = w.post("/v1/chat/completions", chat(CODE, model="code", max_tokens=50))
    assert (answer.status, answer.json()["error"]["code"]) == said
    if said[0] != 402:
        assert 10 < wait_s(answer) <= 20
