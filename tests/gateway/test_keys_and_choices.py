"""Whatever a request names as its model, a key gets only what it may have."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.world import World, chat, world
from turnout.gateway.access import Access

ADMIN = {"x-api-key": "admin-key-0123456789"}
ALIASES = {
    "big": "strong",
    "small": "fast",
    "best": "strongest",
    "story": "creative",
    "any": "auto",
}
WAYS = ("auto", "any", "code", "creative", "story", "cheapest", "strongest", "best", "random")
NAMES = {
    "fast": ("fast", "acme/fast", "small"),
    "strong": ("strong", "acme/strong", "big"),
    "coder": ("coder", "acme/coder"),
}
POLICIES: dict[str, dict[str, Any]] = {
    "intents": {},
    "cheapest": {"policy": "cheapest"},
    "fixed": {"policy": {"name": "fixed", "model": "strong"}},
    "weighted": {"policy": {"name": "weighted", "weights": {"fast": 1, "strong": 3}}},
    "rules": {
        "policy": {
            "name": "rules",
            "rules": [{"name": "japan", "model": "strong", "keywords": ["Japan"]}],
        }
    },
    "fallbacks": {"fallbacks": {"strong": ["coder"], "fast": []}},
}


@pytest.fixture(params=POLICIES)
def gate(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """A gateway with aliases of all kinds, under each policy."""
    more = POLICIES[request.param]
    ledger = str(tmp_path / "ledger.db")
    access = Access(admin=ADMIN["x-api-key"])
    with world(access=access, ledger=ledger, aliases=ALIASES, **more) as found:
        yield found


@pytest.mark.parametrize("allowed", [["fast"], ["acme/strong"], ["coder", "fast"]])
def test_no_name_leads_to_a_model_that_the_key_may_not_use(gate: World, allowed: list[str]) -> None:
    """Models, ids and aliases open as they are allowed; all ways to choose choose among these."""
    made = gate.post("/v1/keys", {"name": "k", "models": allowed}, ADMIN).json()
    key = {"authorization": f"Bearer {made['key']}"}
    models = {name.rpartition("/")[2] for name in allowed}
    for model, names in NAMES.items():
        for name in names:
            answer = gate.post("/v1/chat/completions", chat(model=name, max_tokens=9), key)
            assert (answer.status == 200) == (model in models), name
    chosen = 0
    listed = {model["id"] for model in gate.get("/v1/models", key).json()["data"]}
    for way in WAYS:
        answer = gate.post("/v1/chat/completions", chat(model=way, max_tokens=9), key)
        if answer.status == 200:
            chosen += 1
            assert answer.headers["x-turnout-model"].removeprefix("acme/") in models, way
        else:
            assert answer.json()["error"]["code"] == "model_not_allowed", way
            # What auto leads to depends on the prompt.
            assert way not in listed or way in ("auto", "any"), way
    assert chosen >= 4
    assert {entry.model.removeprefix("acme/") for entry in gate.upstream.invoice} <= models


def test_a_way_that_leads_to_no_allowed_model_is_not_listed(tmp_path: Path) -> None:
    """Under a fixed policy nothing else answers; who may not use it, may not use auto."""
    access, ledger = Access(admin=ADMIN["x-api-key"]), str(tmp_path / "ledger.db")
    with world(access=access, ledger=ledger, aliases=ALIASES, **POLICIES["fixed"]) as w:
        found = {}
        for model in ("fast", "strong"):
            made = w.post("/v1/keys", {"name": model, "models": [model]}, ADMIN).json()
            key = {"authorization": f"Bearer {made['key']}"}
            found[model] = [m["id"] for m in w.get("/v1/models", key).json()["data"]]
        named = ["small", "best", "cheapest", "strongest", "random"]
        assert sorted(found["fast"]) == sorted([*named, "fast"])
        assert set(WAYS) < set(found["strong"])
        assert found["strong"][0] == "auto"


def test_a_key_or_budget_for_an_alias_is_told_the_name(tmp_path: Path) -> None:
    """It said that the alias is not configured; what it stands for may change."""
    access = Access(admin=ADMIN["x-api-key"])
    with world(access=access, ledger=str(tmp_path / "ledger.db"), aliases=ALIASES) as w:
        budget = {"per": "model", "name": "big", "window": "day", "requests": 5}
        for path, body in (("/v1/keys", {"name": "k", "models": ["big"]}), ("/v1/budgets", budget)):
            refused = w.post(path, body, ADMIN)
            assert refused.status == 400
            said = "'big' is another name for 'strong'; a model's own name is needed"
            assert said in refused.json()["error"]["message"]
