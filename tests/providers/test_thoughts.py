"""Thoughts of Claude models: how they are asked for, and how they find their way back."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.providers.worlds import deployment
from turnout.core import Chunk, Request
from turnout.gateway.dialects.messages import Messages
from turnout.providers.anthropic import AnthropicCodec
from turnout.providers.openai_chat import OpenAIChatCodec

MARK = "0123456789ab"
QUESTION = {"role": "user", "content": "Which is the longest river?"}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "done"}


def claude(model: str) -> Any:
    """A deployment of this model at Anthropic."""
    where = deployment("https://api.anthropic.com", model)
    return replace(where, provider=replace(where.provider, family="anthropic"))


def sent(asked: str, body: dict[str, Any], mark: str = MARK, **more: Any) -> dict[str, Any]:
    """What Anthropic gets of a chat body for the model that is asked."""
    request = Request(id="r", body={"messages": [QUESTION], **body}, **more)
    told: dict[str, Any] = json.loads(
        AnthropicCodec(mark=mark).encode(request, claude(asked), stream=False).body
    )
    return told


def enabled(tokens: int) -> dict[str, Any]:
    """Thinking within a budget."""
    return {"type": "enabled", "budget_tokens": tokens}


ADAPTIVE = {"type": "adaptive"}
SHOWN = {**ADAPTIVE, "display": "summarized"}  # models from 4.7 on hide their thoughts otherwise


@pytest.mark.parametrize(
    ("model", "effort", "thinking", "told"),
    [
        ("claude-sonnet-4-20250514", "low", enabled(2048), None),
        ("claude-3-7-sonnet-latest", "high", enabled(24_576), None),
        ("claude-opus-4-5", "minimal", enabled(2048), None),
        ("claude-haiku-4.5", "none", None, None),
        ("my-own-name", "medium", enabled(8192), None),
        ("claude-sonnet-4-6", "xhigh", ADAPTIVE, "high"),
        ("anthropic.claude-opus-4-7", "xhigh", SHOWN, "xhigh"),
        ("anthropic/claude-4.7-opus", "minimal", SHOWN, "low"),
        ("claude-opus-5", "medium", SHOWN, "medium"),
        ("claude-fable-5-1", "max", SHOWN, "max"),
        ("claude-sonnet-5-5-20260901", "none", None, None),
    ],
)
def test_an_effort_is_said_as_the_model_knows_it(
    model: str, effort: str, thinking: dict[str, Any] | None, told: str | None
) -> None:
    """Newer models refuse a budget, older ones an effort; neither takes a temperature then."""
    body = sent(model, {"reasoning_effort": effort, "temperature": 0.2, "max_tokens": 30_000})
    assert body.get("thinking") == thinking
    assert (body.get("output_config") or {}).get("effort") == told
    assert ("temperature" in body) == (thinking is None)


@pytest.mark.parametrize(("cap", "budget"), [(16_000, 14_000), (1_171, 1_025), (1_100, None)])
def test_a_cap_leaves_room_for_the_answer(cap: int, budget: int | None) -> None:
    """Else all of it may go into the thought."""
    body = sent("claude-sonnet-4-5", {"reasoning_effort": "xhigh", "max_tokens": cap})
    assert body.get("thinking") == (enabled(budget) if budget else None)


def test_an_effort_stands_beside_a_schema() -> None:
    """Both are told in one field."""
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    body = sent("claude-opus-5", {"reasoning_effort": "low", "response_format": wanted})
    config = body["output_config"]
    assert config == {"format": {"type": "json_schema", "schema": schema}, "effort": "low"}


@pytest.mark.parametrize(
    ("asked", "model", "told"),
    [
        ({"thinking": enabled(4000)}, "claude-opus-5",
         {"thinking": SHOWN, "output_config": {"effort": "medium"}}),
        ({"thinking": {**enabled(4000), "display": "omitted"}}, "claude-opus-5",
         {"thinking": {**ADAPTIVE, "display": "omitted"}, "output_config": {"effort": "medium"}}),
        ({"thinking": ADAPTIVE, "output_config": {"effort": "low"}}, "claude-opus-4-5",
         {"thinking": enabled(2048)}),
        ({"thinking": {**ADAPTIVE, "display": "omitted"}}, "claude-opus-4-5",
         {"thinking": {**enabled(24_576), "display": "omitted"}}),
        ({"thinking": ADAPTIVE, "output_config": {"effort": "low", "format": {}}},
         "claude-opus-4-5", {"thinking": enabled(2048), "output_config": {"format": {}}}),
        ({"thinking": ADAPTIVE, "max_tokens": 1000}, "claude-opus-4-5", {}),
        ({"thinking": ADAPTIVE}, "claude-opus-5", {"thinking": ADAPTIVE}),
        ({"thinking": enabled(4000)}, "claude-opus-4-5", {"thinking": enabled(4000)}),
        ({}, "claude-opus-5", {}),
    ],
)  # fmt: skip
def test_thinking_in_messages_follows_the_model_that_was_chosen(
    asked: dict[str, Any], model: str, told: dict[str, Any]
) -> None:
    """Who asks for no model in particular writes for the one that he knows."""
    native = {"model": "auto", "messages": [QUESTION], "max_tokens": 30_000, **asked}
    body = dict(Messages().read(native).body)
    got = sent(model, body, native=native, dialect="messages")
    assert {k: got[k] for k in ("thinking", "output_config") if k in got} == told
    named = sent(model, body, native=native, dialect="messages", model=model)
    assert {k: named[k] for k in asked} == asked


@pytest.mark.parametrize("asked", [enabled(20_000), ADAPTIVE])
def test_thinking_in_chat_follows_the_model_as_well(asked: dict[str, Any]) -> None:
    """With its other fields; the usual effort is high."""
    asked = {**asked, "display": "omitted"}
    chat = {"messages": [QUESTION], "thinking": asked, "max_tokens": 30_000}
    newer, older = (sent(model, chat) for model in ("claude-opus-5", "claude-opus-4-5"))
    assert newer["thinking"] == {**ADAPTIVE, "display": "omitted"}
    assert newer["output_config"] == {"effort": "high"}
    assert older["thinking"] == {**enabled(24_576), "display": "omitted"}


@pytest.mark.parametrize(("model", "thinks"), [("claude-opus-4-5", False), ("claude-opus-5", True)])
def test_a_tool_loop_that_began_without_a_thought(model: str, *, thinks: bool) -> None:
    """With a budget it is refused unless it ends without one, too."""
    called = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    body = sent(model, {"messages": [QUESTION, called, RESULT], "reasoning_effort": "low"})
    assert ("thinking" in body) == thinks
    after = sent(model, {"messages": [QUESTION, called, RESULT, called, QUESTION],
                         "reasoning_effort": "low"})  # fmt: skip
    assert "thinking" in after


THOUGHTS = [("First, the Nile.", "c2lnbmVk+1/=="), ("", "b21pdHRlZA"), ("Or the Amazon?", "Mnhz")]
BLOCKS = [{"type": "thinking", "thinking": t, "signature": s} for t, s in THOUGHTS]
ANSWER = [*BLOCKS[:1], {"type": "text", "text": "Well."}, *BLOCKS[1:]]


def whole() -> dict[str, Any]:
    """The assistant's message of an answer with three thoughts, as a chat client has it."""
    payload = {"type": "message", "content": ANSWER, "stop_reason": "end_turn"}
    chunk = AnthropicCodec(mark=MARK).decode(json.dumps(payload).encode())
    assert isinstance(chunk, Chunk)
    texts = [(d.text, d.reasoning, d.signature) for d in chunk.deltas]
    return kept(*map("".join, zip(*texts, strict=True)))


def streamed() -> dict[str, Any]:
    """The same, put together from its pieces."""
    decoder, said = AnthropicCodec(mark=MARK).decoder(), {"text": "", "thought": "", "signed": ""}
    for event in events():
        for chunk in decoder.feed(f"data: {json.dumps(event)}\n\n".encode()):
            assert isinstance(chunk, Chunk)
            for delta in chunk.deltas:
                said["text"] += delta.text
                said["thought"] += delta.reasoning
                said["signed"] += delta.signature
    assert decoder.done
    return kept(said["text"], said["thought"], said["signed"])


def events() -> list[dict[str, Any]]:
    """The answer's events, each text and each signature in two pieces."""
    found: list[dict[str, Any]] = [{"type": "message_start", "message": {}}]
    for index, block in enumerate(ANSWER):
        empty = {k: v if k == "type" else "" for k, v in block.items()}
        found.append({"type": "content_block_start", "index": index, "content_block": empty})
        for name in ("text", "thinking", "signature"):
            text = block.get(name, "")
            for piece in (text[:3], text[3:]) if name in block else ():
                delta = {"type": f"{name}_delta", name: piece}
                found.append({"type": "content_block_delta", "index": index, "delta": delta})
        found.append({"type": "content_block_stop", "index": index})
    ending = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}}
    return [*found, ending, {"type": "message_stop"}]


def kept(text: str, thought: str, signature: str) -> dict[str, Any]:
    """An assistant message."""
    return {"role": "assistant", "content": text, "reasoning_content": thought,
            "reasoning_signature": signature}  # fmt: skip


@pytest.mark.parametrize("said", [whole, streamed])
def test_thoughts_that_were_joined_come_apart_again(said: Any) -> None:
    """Each has the signature that it was given; one under another's would be refused."""
    body = sent("claude-opus-5", {"messages": [QUESTION, said(), QUESTION]})
    assert [b for b in body["messages"][1]["content"] if b["type"] == "thinking"] == BLOCKS


def test_what_is_no_longer_as_it_was_signed_stays_away() -> None:
    """A thought that was cut, and all thoughts of another model."""
    for message, mark in (
        ({**whole(), "reasoning_content": "First"}, MARK),
        (whole(), "f" * 12),
        ({**whole(), "reasoning_signature": f"tn{MARK}-{'9' * 5000}.x" * 2}, MARK),
        ({**whole(), "reasoning_signature": "of somebody else's"}, MARK),
        ({**whole(), "reasoning_signature": None}, MARK),
    ):
        body = sent("claude-opus-5", {"messages": [QUESTION, message, QUESTION]}, mark)
        assert body["messages"][1]["content"] == [{"type": "text", "text": "Well."}]


def told(message: dict[str, Any], url: str = "https://p.example.org/v1") -> dict[str, Any]:
    """What becomes of an assistant's message at a provider of OpenAI's family."""
    there = deployment(url, "m")
    request = Request(id="r", body={"messages": [QUESTION, message, QUESTION]})
    wire = OpenAIChatCodec.for_deployment(there).encode(request, there, stream=False)
    return dict(json.loads(wire.body)["messages"][1])


def test_a_signed_thought_is_not_told_to_another_family() -> None:
    """It is no word of theirs, and some refuse what they do not know."""
    assert told(whole()) == {"role": "assistant", "content": "Well."}


def thoughtful(url: str, *, stream: bool) -> dict[str, Any]:
    """The assistant's message that Messages makes of a thought and a call, as chat has it again."""
    there = deployment(url, "m")
    codec = OpenAIChatCodec.for_deployment(there)
    said = {"role": "assistant", "reasoning_content": "I must look.", "tool_calls": [CALL]}
    if stream:
        pieces = [{"reasoning_content": "I must "}, {"reasoning_content": "look."},
                  {"tool_calls": [{"index": 0, **CALL}]}]  # fmt: skip
        events = [*({"choices": [{"index": 0, "delta": piece}]} for piece in pieces),
                  {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]  # fmt: skip
        decoder = codec.decoder()
        chunks = [c for e in events for c in decoder.feed(f"data: {json.dumps(e)}\n\n".encode())]
    else:
        answer = {"choices": [{"index": 0, "message": said, "finish_reason": "tool_calls"}]}
        chunks = [codec.decode(json.dumps(answer).encode())]
    deltas = [delta for chunk in chunks if isinstance(chunk, Chunk) for delta in chunk.deltas]
    thought = {
        "type": "thinking",
        "thinking": "".join(delta.reasoning for delta in deltas),
        "signature": "".join(delta.signature for delta in deltas),
    }
    call = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
    back = {"role": "assistant", "content": [thought, call]}
    native = {"model": "auto", "messages": [QUESTION, back, QUESTION], "max_tokens": 9}
    return dict(Messages().read(native).body["messages"][1])


@pytest.mark.parametrize("stream", [False, True])
def test_a_thought_before_a_call_goes_back_to_the_model_that_had_it(*, stream: bool) -> None:
    """DeepSeek and its like refuse the results of a call whose thought is missing."""
    here, elsewhere = "https://p.example.org/v1", "https://q.example.org/v1"
    message = thoughtful(here, stream=stream)
    assert told(message, here)["reasoning_content"] == "I must look."
    for other in (told(message, elsewhere), told({**message, "tool_calls": None}, here)):
        assert "reasoning_content" not in other
    assert "reasoning_signature" not in told(message, here)
    assert sent("claude-opus-5", {"messages": [QUESTION, message, RESULT]})["messages"][1][
        "content"][0]["type"] == "tool_use"  # fmt: skip


def test_what_a_chat_client_sends_itself_stays() -> None:
    """It carries the thought in chat's own field, and no signature."""
    message = {
        "role": "assistant",
        "content": None,
        "reasoning_content": "hm",
        "tool_calls": [CALL],
    }
    assert told(message) == message


def test_gemini_is_told_of_calls_that_lost_their_signature() -> None:
    """It refuses them otherwise; one that is there goes as it came."""
    url = "https://generativelanguage.googleapis.com/v1beta/openai"
    message = {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "c2"}]}
    first, second = told(message, url)["tool_calls"]
    skipped = {"google": {"thought_signature": "skip_thought_signature_validator"}}
    assert (first["extra_content"], "extra_content" in second) == (skipped, False)
    own = {**CALL, "extra_content": {"google": {"thought_signature": "its own"}}}
    assert told({**message, "tool_calls": [own]}, url)["tool_calls"] == [own]
    assert told(message)["tool_calls"] == message["tool_calls"]


@pytest.mark.parametrize("stream", [False, True])
def test_an_empty_signature_finds_back(*, stream: bool) -> None:
    """Others than Anthropic that speak its API give one, and clients drop a thought without any."""
    codec = AnthropicCodec(mark=MARK)
    thought = {"type": "thinking", "thinking": "Hm."}
    if stream:
        events = [
            {
                "type": "content_block_start",
                "index": 0,
                "content_block": {**thought, "thinking": ""},
            },
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "thinking_delta", "thinking": "Hm."},
            },
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "signature_delta", "signature": ""},
            },
        ]
        wire = "".join(f"data: {json.dumps(event)}\n\n" for event in events).encode()
        *_, last = codec.decoder().feed(wire)
        signature = last.raw["delta"]["signature"]
    else:
        message = {"type": "message", "content": [{**thought, "signature": ""}]}
        found = codec.decode(json.dumps({**message, "stop_reason": "end_turn"}).encode())
        assert isinstance(found, Chunk)
        signature = found.raw["content"][0]["signature"]
    assert signature
    turn = {"role": "assistant", "content": [{**thought, "signature": signature}]}
    native = {"max_tokens": 9, "messages": [QUESTION, turn, QUESTION]}
    for mark, blocks in ((MARK, [{**thought, "signature": ""}]), ("f" * 12, None)):
        told = sent(
            "claude-opus-5",
            {"messages": native["messages"]},
            mark,
            native=native,
            dialect="messages",
        )
        assert [m["content"] for m in told["messages"] if m["role"] == "assistant"] == (
            [blocks] if blocks else []
        )
