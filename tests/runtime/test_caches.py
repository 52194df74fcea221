"""What is known of providers' caches: from what answers told, each tenant's own, for a while."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from tests.decision.test_expected import CHEAP, WARM, anthropic, cached_price
from tests.worlds import NOW, deployment, prediction, rulebook
from turnout.catalog import Catalog, Deployment
from turnout.core import Decision, Outcome, Request, Role, Route, Usage
from turnout.decision import decide
from turnout.features import extract
from turnout.policies import Cheapest
from turnout.runtime.caches import Caches
from turnout.runtime.prefix import prefix_of

LONG = "Look at the file, change as little as you can, and say what you did. " * 120
CLAUDE = anthropic("claude", cached_price(3, 15, write=1.25))
OTHER = deployment("other", cached_price(1, 2))
MARK = {"cache_control": {"type": "ephemeral"}}
CARDS = Catalog(deployments={d.id: d for d in (CHEAP, WARM, CLAUDE, OTHER)})

Messages = list[dict[str, Any]]


def turns(*texts: str) -> Messages:
    """A conversation, the user's turn first."""
    return [
        {"role": "assistant" if place % 2 else "user", "content": text}
        for place, text in enumerate(texts)
    ]


def part(text: str, **more: Any) -> dict[str, Any]:
    """A message of one part."""
    return {"role": "user", "content": [{"type": "text", "text": text, **more}]}


class Scene:
    """Caches with a clock of their own."""

    def __init__(self, cards: Catalog = CARDS) -> None:
        self.now_s, self.late_s = 1000.0, 0.0
        self.cards = cards
        self.caches = Caches(cards.deployments, lambda: self.now_s)

    def expected_tokens(
        self, messages: Messages, *, tenant: str | None = None, **body: Any
    ) -> dict[str, int]:
        """What is expected to be cached of this prompt."""
        asked = Request(id="r_2", body={"messages": messages, **body}, tenant=tenant)
        prefix = self.caches.prefix(asked)
        return self.caches.expected(prefix) if prefix else {}

    def record(
        self, messages: Messages, name: str, usage: Usage, role: Role = "primary", **more: Any
    ) -> Decision:
        """A call of that deployment used so much."""
        tenant, body = more.pop("tenant", None), more
        asked = Request(id="r_1", body={"messages": messages, **body}, tenant=tenant)
        seen = extract(asked, ["o200k_base"])
        now = structs.replace(
            NOW, cached_tokens=self.expected_tokens(messages, tenant=tenant, **body)
        )
        decision = decide(asked, seen, prediction(), now, rulebook(Cheapest(), self.cards))
        began_s = self.now_s - self.late_s
        route = Route(name, f"model-{name}", "p", role, 0)
        outcome = Outcome(
            decision_id="d", route=route, status="ok", ordinal=0, usage=usage, began_s=began_s
        )
        self.caches.learn(asked, decision, outcome)
        return decision


FIRST = turns(LONG)
NEXT = turns(LONG, "Done.", "And now?")
# As many as are counted of LONG.
PROMPT = extract(Request(id="r", body={"messages": FIRST}), ["o200k_base"]).input_tokens[
    "o200k_base"
]
FRESH = Usage(input=PROMPT, output=10)


def test_an_automatic_cache_is_expected_in_the_next_turn() -> None:
    """A prompt of 1,024 tokens, in steps of 128, where the model has a price for reading."""
    scene = Scene()
    scene.record(FIRST, "warm", FRESH)
    scene.record(FIRST, "cheap", FRESH)
    assert scene.expected_tokens(NEXT) == {"warm": PROMPT - PROMPT % 128}
    assert (
        scene.expected_tokens([*FIRST, *turns("one")]) == {}
    )  # no turn of a model's: nothing is looked up


@pytest.mark.parametrize(
    ("messages", "usage"),
    [
        (turns("short"), Usage(input=9, output=9)),
        (FIRST, Usage(input=PROMPT, output=9, estimated=True)),
        (FIRST, Usage()),
    ],
)
def test_without_a_usable_report_no_cache_is_expected(messages: Messages, usage: Usage) -> None:
    """A short prompt, a count of our own (a stream that broke off), a call that failed."""
    scene = Scene()
    scene.record(messages, "warm", usage)
    assert scene.expected_tokens([*messages, *turns("", "Done.")[1:], *turns("And now?")]) == {}


@pytest.mark.parametrize("role", ["verifier", "classifier"])
def test_other_calls_have_other_prompts(role: Role) -> None:
    """What labelled the request or verified a draft says nothing of it."""
    scene = Scene()
    scene.record(FIRST, "warm", FRESH, role)
    assert scene.expected_tokens(NEXT) == {}


def test_anthropics_cache_holds_what_was_reported_and_as_long() -> None:
    """Read and written tokens, for five minutes after the call, or an hour."""
    scene = Scene()
    half = Usage(input=PROMPT // 4, cache_read=PROMPT // 2, cache_write=PROMPT // 4, output=9)
    scene.record(FIRST, "claude", FRESH)
    assert scene.expected_tokens(NEXT) == {}
    scene.record(FIRST, "claude", half)
    told = PROMPT * (half.cache_read + half.cache_write) // half.total_input
    assert scene.expected_tokens(NEXT) == {"claude": told}
    scene.now_s += 299
    assert scene.expected_tokens(NEXT) == {"claude": told}
    scene.now_s += 2
    assert scene.expected_tokens(NEXT) == {}
    scene.record(FIRST, "claude", structs.replace(half, hour_cache=True))
    scene.now_s += 3599
    assert scene.expected_tokens(NEXT) == {"claude": told}


def test_marks_and_shapes_of_a_text_do_not_matter() -> None:
    """Clients move the mark to the last message: the same text is known without it."""
    scene = Scene()
    used = Usage(input=4, cache_write=PROMPT - 4, output=9)
    scene.record([part(LONG, **MARK)], "claude", used)
    assert scene.expected_tokens(NEXT)["claude"] > 1024
    assert scene.expected_tokens([part(LONG), *NEXT[1:]])["claude"] > 1024


@pytest.mark.parametrize(
    ("messages", "more"),
    [
        (turns(LONG + ".", "Done.", "And now?"), {}),
        ([{"role": "system", "content": "Be brief."}, *NEXT], {}),
        (NEXT, {"tenant": "key:other"}),
        (NEXT, {"tools": [{"type": "function", "function": {"name": "run"}}]}),
        (NEXT, {"reasoning_effort": "high"}),
        (NEXT, {"response_format": {"type": "json_object"}}),
    ],
)
def test_another_beginning_is_not_known(messages: Messages, more: dict[str, Any]) -> None:
    """Other words, instructions, tools, effort or answers' form: another cache; nobody else's."""
    scene = Scene()
    scene.record(FIRST, "warm", FRESH)
    assert scene.expected_tokens(NEXT)
    assert scene.expected_tokens(messages, **more) == {}


def test_instructions_that_conversations_share_are_known_by_themselves() -> None:
    """Where a provider keeps any beginning, or they were marked; not where only the end was."""
    system = [{"role": "system", "content": LONG}]
    marked = [{**part(LONG, **MARK), "role": "system"}]
    another = [*system, *turns("Q", "A", "And?")]
    told = Usage(input=20, cache_write=PROMPT, output=9)
    scene = Scene()
    scene.record([*system, *turns("One thing")], "other", FRESH)
    assert 0.9 * PROMPT < scene.expected_tokens(another)["other"] <= PROMPT
    scene.record([*system, *turns("One thing")], "claude", told)
    assert "claude" not in scene.expected_tokens(another)
    scene.record([*marked, *turns("One thing")], "claude", told)
    assert scene.expected_tokens(another)["claude"] > 1024


def test_a_switch_in_between_leaves_the_first_ones_cache() -> None:
    """Each deployment has what its own last turn left there, up to where that ended."""
    scene = Scene()
    scene.record(FIRST, "warm", FRESH)
    longer = turns(LONG, "Done.", LONG)
    scene.record(longer, "other", Usage(input=2 * PROMPT, output=9))
    expected_tokens = scene.expected_tokens([*longer, *turns("", "Yes.")[1:], *turns("More?")])
    assert expected_tokens["warm"] == PROMPT - PROMPT % 128
    assert expected_tokens["other"] > 1.9 * PROMPT


def test_several_answers_to_one_prompt_count_it_once() -> None:
    """Whatever a provider counts for n answers, a share of our own count is kept."""
    scene = Scene()
    scene.record(FIRST, "claude", Usage(cache_write=3 * PROMPT, output=9), n=3)
    assert scene.expected_tokens(NEXT) == {"claude": PROMPT}


def test_a_cache_that_misses_twice_is_not_believed_until_it_reads() -> None:
    """What a provider's documents say is no proof: its answers are."""
    scene = Scene()
    turn = scene.record(FIRST, "warm", FRESH)
    assert not any(c.cache_read_tokens for c in turn.candidates)
    for _ in range(2):
        assert scene.expected_tokens(NEXT)
        scene.record(NEXT, "warm", Usage(input=PROMPT + 9, output=9))
    assert scene.expected_tokens([*NEXT, *turns("", "Yes.")[1:]]) == {}
    scene.record(FIRST, "other", FRESH)
    assert scene.expected_tokens(NEXT) == {"warm": 0, "other": PROMPT - PROMPT % 128}
    scene.record(NEXT, "warm", Usage(input=9, cache_read=PROMPT, output=9))
    assert scene.expected_tokens([*NEXT, *turns("", "Yes.")[1:]])


def test_a_new_configuration_keeps_what_is_as_it_was() -> None:
    """A deployment that changed has lost its cache."""
    scene, old = Scene(), Scene()
    for name in ("warm", "other"):
        old.record(FIRST, name, FRESH)
    changed = {**CARDS.deployments, "other": replace(OTHER, price=cached_price(9, 9))}
    scene = Scene(Catalog(deployments=changed))
    scene.caches.take_over(old.caches)
    assert scene.expected_tokens(NEXT) == {"warm": PROMPT - PROMPT % 128}


def test_only_so_much_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go, and those whose time is over."""
    monkeypatch.setattr("turnout.runtime.caches._MOST_ENTRIES", 50)
    scene = Scene()
    for number in range(200):
        scene.record(turns(f"{number} {LONG}"), "warm", FRESH)
    assert len(scene.caches.held) == 50
    assert scene.expected_tokens(turns(f"0 {LONG}", "Done.", "And now?")) == {}
    assert scene.expected_tokens(turns(f"199 {LONG}", "Done.", "And now?"))
    scene.now_s += 301
    scene.record(turns(f"new {LONG}"), "warm", FRESH)
    assert len(scene.caches.held) == 1


def test_an_answer_that_took_longer_than_a_cache_lives_leaves_nothing() -> None:
    """The time runs from when the call began."""
    scene = Scene()
    scene.late_s = 301
    scene.record(FIRST, "warm", FRESH)
    assert not scene.caches.held


def test_what_is_no_json_has_no_hash_and_no_text_is_kept() -> None:
    """The library takes any object; the memory holds hashes and numbers."""
    odd = [{"role": "user", "content": LONG, "more": object()}]
    assert prefix_of(Request(id="r", body={"messages": odd}), b"salt") is None
    scene = Scene()
    scene.record(FIRST, "warm", FRESH)
    [held] = [*scene.caches.held.items()]
    assert len(held[0]) == 16
    assert held[1] == {"warm": (PROMPT - PROMPT % 128, 1300.0)}


def test_processes_make_different_hashes() -> None:
    """So that nobody can look for a text in them."""
    asked = Request(id="r", body={"messages": FIRST})
    prints = {prefix_of(asked, Caches({}).salt) for _ in range(3)}
    assert len(prints) == 3


def test_a_model_without_a_price_for_reading_needs_no_memory() -> None:
    """There is no discount to expect."""
    unpriced: Deployment = replace(WARM, id="unpriced", price=None)
    scene = Scene(Catalog(deployments={d.id: d for d in (CHEAP, unpriced)}))
    for name in ("cheap", "unpriced"):
        scene.record(FIRST, name, Usage(input=9, cache_read=PROMPT, output=9))
    assert not scene.caches.held
