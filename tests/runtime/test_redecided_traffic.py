"""Traffic that a router served, decided again by its own configuration and by another one."""

from pathlib import Path
from typing import Any

from tests.runtime.world import config
from turnout import Router
from turnout.evaluation.redeciding import Comparison, compare, decide_again, opinions_in
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
