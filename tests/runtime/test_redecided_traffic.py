"""Traffic that a router served, decided again by its own configuration and by another one."""

from pathlib import Path
from typing import Any

import pytest

from tests.runtime.world import CODE, config
from turnout import Router, RouterError
from turnout.evaluation.redeciding import (
    NO_MODEL,
    Comparison,
    compare,
    decide_again,
    opinions_in,
)
from turnout.ledger import store_at
from turnout.testing import FaultyUpstream

_PROMPTS = ("What is the capital of Japan?", "Write a Python function that parses CSV files",
            "Write a short poem about the sea", "And you?")  # fmt: skip


def _again(settings: dict[str, Any]) -> Comparison:
    with Router.from_config({**settings, "ledger": "off"}, environ={}) as r:
        store = store_at(settings["ledger"])
        return compare(decide_again(store, r.parts.means.rules), opinions_in(store))


def test_what_was_served_is_what_is_decided_again(tmp_path: Path) -> None:
    """By the same configuration; with the cheapest model, all move but those that name one."""
    with FaultyUpstream() as upstream:
        settings = config(upstream, ledger=str(tmp_path / "l.db"))
        with Router.from_config(settings, environ={}) as r:
            receipts = [
                r.chat(f"{prompt} {n}", model=model, session="one").receipt
                for n, prompt in enumerate(_PROMPTS)
                for model in ("auto", "code", "strong")
            ]
        same = _again(settings)
        assert same.changes == []
        spent = sum(receipt.cost_pico_usd or 0 for receipt in receipts)
        assert same.total.then_pico_usd == same.total.now_pico_usd == spent > 0
        assert same.total.compared == len(receipts)
        cheap = _again({**settings, "policy": {"name": "cheapest"}})
        assert cheap.changes
        assert all(move.now == "acme/fast" for move in cheap.changes)
        named = [m.requests for m in cheap.moves if m.now == "acme/strong"]
        assert named == [len(_PROMPTS)]
        assert cheap.total.then_pico_usd == spent
        assert 0 < cheap.total.now_pico_usd < spent


@pytest.mark.parametrize(
    ("fault", "rest"), [("f-500", "acme/coder"), ("f-404", "acme/coder"), ("f-429-ra60", NO_MODEL)]
)
def test_the_only_model_is_tried_while_it_cools_down(tmp_path: Path, fault: str, rest: str) -> None:
    """As by a gateway that has no other; not before the time that its provider has named."""
    with FaultyUpstream(scripts={"acme/coder": fault}) as upstream:
        patient = {"failures": 1, "cooldown_s": 300}
        settings = config(upstream, ledger=str(tmp_path / "l.db"), health=patient)
        with Router.from_config(settings, environ={}) as r:
            for number in range(3):
                r.chat(f"{CODE} {number}")
            cooling = r.route(CODE).snapshot.unavailable
        assert {name: why.kind for name, why in cooling.items()} == {"coder": "cooling_down"}
        assert _again(settings).changes == []
        alone = {"models": {"coder": settings["models"]["coder"]}, "default": "coder"}
        found = _again({**settings, **alone, "intents": {"unsafe": "block"}})
        assert {(m.then, m.now): m.requests for m in found.moves} == {
            ("acme/coder", "acme/coder"): 1,
            ("acme/fast", rest): 2,
        }


def test_who_found_no_model_to_try_finds_none_again(tmp_path: Path) -> None:
    """By the same configuration nothing moves, also while the only model is being tried."""
    with FaultyUpstream(scripts={"acme/coder": "f-500"}) as upstream:
        alone = {
            "models": {"coder": config(upstream)["models"]["coder"]},
            "default": "coder",
            "intents": {"unsafe": "block"},
        }
        patient = {"failures": 1, "cooldown_s": 300}
        settings = config(upstream, ledger=str(tmp_path / "l.db"), health=patient) | alone
        with Router.from_config(settings, environ={}) as r:
            health = r.parts.means.health
            for number in range(4):
                if number == 3:
                    health.call_began("coder")
                with pytest.raises(RouterError):
                    r.chat(f"{CODE} {number}")
        assert {move.now for move in _again(settings).moves} == {"acme/coder", NO_MODEL}
        assert _again(settings).changes == []
