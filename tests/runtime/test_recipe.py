"""The recipe is served to the right model each time, and the caller's request arrives intact."""

from typing import Any

import pytest

from tests.runtime.world import CODE, FACT, MODELS, PRICES, STORY, UNSAFE, replied, router
from turnout import Constraints, InvalidRequest, NoEligibleDeployment, Router
from turnout.core import Usage
from turnout.testing import FaultyUpstream

# The upstream answers equal requests with an equal nonce equally.
NONCED = f"{CODE} (nonce: n1)"
RECIPE = [(FACT, "simple_qa", "fast"), (STORY, "creative", "strong"), (CODE, "code", "coder")]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("prompt", "intent", "name"), RECIPE, ids=[r[1] for r in RECIPE])
def test_each_intent_is_answered_by_its_model(
    prompt: str, intent: str, name: str, *, stream: bool
) -> None:
    """The upstream is called once, by the chosen model's id, and its answer comes back."""
    with FaultyUpstream() as upstream, router(upstream) as r:
        reply = replied(r, prompt, stream=stream)
    assert reply.decision.intent == intent
    assert [entry.model for entry in upstream.invoice] == [MODELS[name]]
    assert reply.body["model"] == MODELS[name]
    assert reply.text
    assert reply.receipt.answered_by == reply.receipt.chosen_model == MODELS[name]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_the_cost_equals_the_upstreams_invoice(*, stream: bool) -> None:
    """Tokens that the upstream billed, at the chosen model's price, to the pico-dollar."""
    with FaultyUpstream() as upstream, router(upstream) as r:
        reply = replied(r, STORY, stream=stream)
    (entry,) = upstream.invoice
    usd_in, usd_out = PRICES["strong"]
    expected = (entry.prompt_tokens * usd_in + entry.completion_tokens * usd_out) * 10**6
    assert reply.cost_pico_usd == round(expected)
    assert reply.receipt.strongest_pico_usd == reply.cost_pico_usd
    assert reply.receipt.usage == Usage(input=entry.prompt_tokens, output=entry.completion_tokens)


def test_the_request_arrives_untouched_but_for_the_model() -> None:
    """System prompt, history, tools and unknown fields are forwarded as they are."""
    body: dict[str, Any] = {
        "messages": [
            {"role": "system", "content": "You are terse."},
            {"role": "user", "content": CODE},
            {"role": "assistant", "content": "def parse(path): ..."},
            {"role": "user", "content": "yes, add error handling"},
        ],
        "temperature": 0.2,
        "tools": [
            {
                "type": "function",
                "function": {"name": "run", "parameters": {"type": "object", "properties": {}}},
            }
        ],
        "vendor_extension": {"deep": [1, 2, {"three": None}]},
    }
    with FaultyUpstream() as upstream, router(upstream) as r:
        reply = r.chat(body)
    (request,) = upstream.requests
    sent = request.json()
    assert {k: sent[k] for k in body} == body
    assert sent["model"] == MODELS["coder"]
    assert request.headers["authorization"] == "Bearer k3y-acme"
    assert reply.body["choices"][0]["message"]["tool_calls"][0]["function"]["name"] == "run"


def test_streamed_tool_calls_come_back_whole() -> None:
    """The pieces of a tool call add up to what the whole answer has."""
    tool = {"type": "function", "function": {"name": "run", "parameters": {"type": "object"}}}
    with FaultyUpstream() as upstream, router(upstream) as r:
        whole = r.chat(NONCED, tools=[tool]).body["choices"][0]["message"]["tool_calls"]
        stream = r.chat(NONCED, tools=[tool], stream=True)
        list(stream)
        pieces = stream.reply.body["choices"][0]["message"]["tool_calls"]
    assert [c["function"]["name"] for c in pieces] == [c["function"]["name"] for c in whole]
    assert pieces[0]["function"]["arguments"] == whole[0]["function"]["arguments"] != ""


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_unsafe_prompt_reaches_no_model(*, stream: bool) -> None:
    """The refusal answers, at no cost."""
    with FaultyUpstream() as upstream, router(upstream, refusal="Not that.") as r:
        reply = replied(r, UNSAFE, stream=stream)
    assert upstream.requests == []
    assert reply.text == "Not that."
    assert reply.body["choices"][0]["finish_reason"] == "content_filter"
    assert (reply.cost_pico_usd, reply.receipt.answered_by) == (0, None)


def test_routing_calls_no_model() -> None:
    """``route`` decides and sends nothing."""
    with FaultyUpstream() as upstream, router(upstream) as r:
        decision = r.route(CODE)
    assert decision.model == MODELS["coder"]
    assert upstream.requests == []


def test_a_model_asked_for_by_name_bypasses_the_map_but_not_safety() -> None:
    """Pinning a model pins it; an unsafe prompt is blocked all the same."""
    with FaultyUpstream() as upstream, router(upstream) as r:
        assert r.chat(FACT, model="strong").body["model"] == MODELS["strong"]
        assert r.chat(UNSAFE, model="strong").decision.blocked
        with pytest.raises(InvalidRequest, match="did you mean"):
            r.chat(FACT, model="stronk")


def test_a_prompt_that_fits_no_model_says_so() -> None:
    """Ten megabytes are refused with every model's window, and nothing is sent."""
    with FaultyUpstream() as upstream, router(upstream) as r:
        with pytest.raises(NoEligibleDeployment, match=r"prompt is too long: .* > 128000 maximum"):
            r.chat("word " * 2_000_000)
        assert upstream.requests == []


def test_a_cost_limit_excludes_what_is_too_dear() -> None:
    """A story goes to a cheaper model when the strong one exceeds the limit."""
    limit = Constraints(max_cost_pico_usd=10**9)
    with FaultyUpstream() as upstream, router(upstream) as r:
        decision = r.route(STORY, constraints=limit)
    assert decision.model != MODELS["strong"]
    excluded = next(c for c in decision.candidates if c.deployment == "strong").excluded
    assert excluded is not None
    assert excluded.kind == "over_cost_limit"


async def test_the_same_from_an_event_loop() -> None:
    """``achat`` answers and streams like ``chat``."""
    async with FaultyUpstream() as upstream, router(upstream) as r:
        reply = await r.achat(NONCED)
        stream = await r.achat(NONCED, stream=True)
        text = "".join([c["choices"][0]["delta"].get("content") or "" async for c in stream])
    assert text == reply.text == stream.reply.text


@pytest.mark.parametrize("bad", ["", "  ", [], [{"role": "user"}], {"messages": []}, "a\ud800"])
def test_an_unusable_prompt_is_refused_before_anything(bad: Any) -> None:
    """Empty and broken prompts raise, and nothing is sent."""
    with FaultyUpstream() as upstream, router(upstream) as r:
        with pytest.raises(InvalidRequest):
            r.chat(bad)
        assert upstream.requests == []


def test_the_shipped_recipe_is_twelve_lines() -> None:
    """The configuration in the README is the one in the package."""
    from importlib.resources import files

    text = files("turnout.config").joinpath("recipe.yaml").read_text(encoding="utf-8")
    assert len(text.splitlines()) == 12
    with Router.from_config(text, environ={"RUNCRATE_API_KEY": "rc_live_test"}) as r:
        assert r.route(CODE).model == "Qwen/Qwen3-Coder-480B-A35B-Instruct-Turbo"
