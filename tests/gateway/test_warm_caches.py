"""A conversation stays where its prompt is cached as long as that is cheaper, by the real bill."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.world import World, world

QUALITIES = {"strong": 0.9, "fast": 0.6, "coder": 0.5}
POLICY = {"name": "cheapest_above_quality", "quality": 0.5}
STRONG = {"input": "1", "cache_read": "0.1", "cache_write": "1.25", "output": "2"}
DEAR = {"input": "30", "output": "60"}
RULES = "Rule: look at the file, change as little as you can, and say what you did. " * 100
KEEPS = {"acme/strong": "f-keeps", "acme/fast": "f-keeps", "acme/coder": "f-keeps"}


def prices(fast_input: str, **strong: str) -> dict[str, Any]:
    """The strong model has a price for cached tokens, the fast one has none."""
    by_itself = {name: STRONG[name] for name in ("input", "cache_read", "output")}
    fast = {"input": fast_input, "output": "2"}
    return {"strong": by_itself | strong, "fast": fast, "coder": DEAR}


@contextmanager
def caching_world(
    ledger: Path | str = "off", fast_input: str = "0.5", **more: Any
) -> Iterator[World]:
    """A gateway over models that keep prompts; ``fast_input`` is the fast one's price."""
    setup = {"policy": POLICY, "qualities": QUALITIES, "prices": prices(fast_input), **more}
    with world(ledger=str(ledger), **setup) as w:
        w.upstream.scripts.update(KEEPS)
        yield w


def with_cache_mark(messages: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages with a mark at the last one, as coding agents set it."""
    part = {
        "type": "text",
        "text": messages[-1]["content"],
        "cache_control": {"type": "ephemeral"},
    }
    return [*messages[:-1], {"role": "user", "content": [part]}]


class Talk:
    """A conversation that begins with the same long rules in each turn."""

    def __init__(self, w: World, name: str, path: str = "/v1/chat/completions") -> None:
        self.w, self.path = w, path
        self.messages: list[dict[str, Any]] = [
            {"role": "user", "content": f"Conversation {name}. {RULES}"}
        ]
        self.records: list[dict[str, Any]] = []
        self.reasons: list[str] = []

    def body(self, model: str = "auto", **more: Any) -> dict[str, Any]:
        """What would be sent now."""
        native = self.path == "/v1/messages"
        messages = with_cache_mark(self.messages) if native else self.messages
        return {"model": model, "messages": messages, "max_tokens": 100, **more}

    def next_turn(self, headers: Mapping[str, str] | None = None, model: str = "auto") -> str:
        """Has one more answer; the model that gave it."""
        answer = self.w.post(self.path, self.body(model), headers)
        assert answer.status == 200, answer.body
        found = answer.json()
        said = (
            found["content"][0]["text"]
            if "content" in found
            else found["choices"][0]["message"]["content"]
        )
        self.messages.append({"role": "assistant", "content": said})
        number = len(self.messages) // 2
        self.messages.append({"role": "user", "content": f"Go on with step {number}."})
        self.records.append(
            self.w.get(f"/v1/decisions/{answer.headers['x-turnout-decision']}").json()
        )
        self.reasons.append(answer.headers["x-turnout-reason"])
        return answer.headers["x-turnout-model"]

    @property
    def paid_usd(self) -> float:
        """What all turns cost by the ledger."""
        return sum(record["cost_usd"] for record in self.records)

    def candidate(self, name: str) -> dict[str, Any]:
        """A candidate of the latest decision."""
        return next(c for c in self.records[-1]["candidates"] if c["deployment"] == name)


@pytest.mark.parametrize(("fast_input", "stays"), [("0.5", True), ("0.02", False)])
def test_the_cheaper_way_is_taken_and_the_bill_says_so(
    tmp_path: Path, fast_input: str, *, stays: bool
) -> None:
    """After a hard turn the next stay with the strong model only where its cache pays for it."""
    with caching_world(tmp_path / "ledger.db", fast_input) as w:
        routed, other = Talk(w, "routed"), Talk(w, "other")
        assert routed.next_turn({"x-turnout-quality": "1"}) == "acme/strong"
        taken = [routed.next_turn() for _ in range(4)]
        other.next_turn(model="strong")
        for _ in range(4):
            other.next_turn(model="fast" if stays else "strong")
    assert set(taken) == {"acme/strong" if stays else "acme/fast"}
    assert routed.paid_usd < other.paid_usd
    assert ("of the prompt are in its cache" in routed.reasons[1]) == stays


def test_prompt_caches_off_routes_as_if_nothing_were_cached(tmp_path: Path) -> None:
    """The same conversation goes to the model that is cheaper at the full price."""
    off = {**POLICY, "prompt_caches": False}  # as YAML reads a bare off
    with caching_world(tmp_path / "ledger.db", policy=off) as w:
        talk = Talk(w, "off")
        assert talk.next_turn({"x-turnout-quality": "1"}) == "acme/strong"
        assert talk.next_turn() == "acme/fast"
    strong = talk.candidate("strong")
    assert (strong["cache_read_tokens"], strong["cold_pico_usd"]) == (0, None)


def test_the_decision_shows_what_it_counted_on(tmp_path: Path) -> None:
    """Tokens and prices are in the record, in words, and in what /v1/route says before a call."""
    with caching_world(tmp_path / "ledger.db") as w:
        talk = Talk(w, "shown")
        talk.next_turn({"x-turnout-quality": "1"})
        foreseen = w.post("/v1/route", talk.body()).json()
        talk.next_turn()
    strong, fast = talk.candidate("strong"), talk.candidate("fast")
    said = next(c for c in foreseen["candidates"] if c["deployment"] == "strong")
    assert said["cache_read_tokens"] == strong["cache_read_tokens"] > 1024
    assert strong["cost_pico_usd"] < fast["cost_pico_usd"] < strong["cold_pico_usd"]
    assert (fast["cache_read_tokens"], fast["cold_pico_usd"]) == (0, None)
    assert "tokens read from its cache" in talk.records[-1]["explanation"]
    assert foreseen["snapshot"]["cached_tokens"] == {"strong": strong["cache_read_tokens"]}
    expected_usd = strong["cost_pico_usd"] / 1e12
    # The answers are shorter than the 100 tokens that were expected.
    assert talk.records[-1]["cost_usd"] == pytest.approx(expected_usd, abs=3e-4)


def test_a_ceiling_counts_the_full_price() -> None:
    """A cache may be gone: what fits only by its discount does not fit."""
    with caching_world() as w:
        talk = Talk(w, "ceiling")
        assert talk.next_turn({"x-turnout-quality": "1"}) == "acme/strong"
        decision = w.post("/v1/route", talk.body()).json()
        strong = next(c for c in decision["candidates"] if c["deployment"] == "strong")
        between = (strong["cost_pico_usd"] + strong["cold_pico_usd"]) / 2e12
        assert talk.next_turn({"x-turnout-max-cost-usd": f"{between:.6f}"}) == "acme/fast"


def test_what_anthropic_wrote_is_told_and_read_again(tmp_path: Path) -> None:
    """Marked prompts are written at their price once, and the next turns stay where they are."""
    writes = prices("0.5", cache_write="1.25")
    with caching_world(tmp_path / "ledger.db", prices=writes, speaks={"strong": "anthropic"}) as w:
        talk = Talk(w, "marked", "/v1/messages")
        assert talk.next_turn({"x-turnout-quality": "1"}) == "acme/strong"
        first = talk.candidate("strong")
        assert first["cache_write_tokens"] > 1024
        assert [talk.next_turn() for _ in range(3)] == ["acme/strong"] * 3
        strong = talk.candidate("strong")
        unmarked = {**talk.body(), "messages": talk.messages}
        bare = w.post("/v1/route", unmarked).json()
    assert strong["cache_read_tokens"] > 10 * strong["cache_write_tokens"] > 0
    assert all(c["cache_read_tokens"] == 0 for c in bare["candidates"])
    assert bare["routes"][0]["model"] == "acme/fast"


@pytest.mark.parametrize("fault", ["f-keeps-cut@3", "f-keeps-nousage"])
def test_what_was_not_told_is_not_known(fault: str) -> None:
    """A stream that broke off, and one without usage, leave the full price."""
    with caching_world() as w:
        w.upstream.scripts["acme/strong"] = fault
        talk = Talk(w, "untold")
        w.post(talk.path, talk.body("strong", stream=True))
        talk.messages += [
            {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": "?"},
        ]
        decision = w.post("/v1/route", talk.body()).json()
    assert decision["snapshot"]["cached_tokens"] == {}
    assert decision["routes"][0]["model"] == "acme/fast"
