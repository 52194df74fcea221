"""A model that refuses in words of its own is heard in every dialect, whole and streamed."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.gateway.world import chat
from turnout import Router
from turnout.core import Chunk, Fault, Request
from turnout.gateway.dialects import About, ApiDialect, Chat
from turnout.gateway.dialects.messages import Messages
from turnout.gateway.dialects.responses import Responses
from turnout.providers.anthropic import AnthropicCodec
from turnout.providers.openai_chat import OpenAIChatCodec

RECIPE = {
    "provider": "p",
    "providers": {"p": {"base_url": "https://p.example.org/v1", "api_key": "key"}},
    "models": {"m": {"model": "m", "price": {"input": "1", "output": "1"}}},
    "default": "m",
    "ledger": "off",
}
PIECES = ("I would ", "rather not.")
WORDS = "".join(PIECES)


def about_request(dialect: ApiDialect, payload: Mapping[str, Any] | None = None) -> About:
    """A request of this dialect that was decided."""
    body = chat()
    with Router.from_config(RECIPE, environ={}) as router:
        decision = router.route(Request(id="r_1", body=body))
    payload = payload or {**body, "input": "x", "max_tokens": 9}
    return About(decision=decision, model="m", created=1, inbound=dialect.read(payload))


def streamed_refusal(dialect: ApiDialect) -> list[dict[str, Any]]:
    """The events that the dialect makes of a streamed refusal."""
    deltas: list[tuple[dict[str, Any], str | None]] = [
        ({"refusal": piece}, None) for piece in PIECES
    ]
    decoder = OpenAIChatCodec().decoder()
    writer = dialect.writer(about_request(dialect))
    told = b""
    for delta, finish in [*deltas, ({}, "stop")]:
        event = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        for chunk in decoder.feed(b"data: " + json.dumps(event).encode() + b"\n\n"):
            assert isinstance(chunk, Chunk)
            assert chunk.has_content == bool(delta)
            told += writer.write(chunk)
    told += writer.end()
    lines = [line for line in told.decode().splitlines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def whole_refusal(dialect: ApiDialect) -> Any:
    """What the dialect makes of a whole refusal."""
    message = {"role": "assistant", "content": None, "refusal": WORDS}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    chunk = OpenAIChatCodec().decode(json.dumps(answer).encode())
    assert isinstance(chunk, Chunk)
    return json.loads(dialect.whole(chunk, about_request(dialect)))


def test_messages() -> None:
    """It stops for a refusal, and says the model's words as the reason."""
    ending = streamed_refusal(Messages())[-2]["delta"]
    for told in (whole_refusal(Messages()), ending):
        assert told["stop_reason"] == "refusal"
        assert told["stop_details"] == {"type": "refusal", "explanation": WORDS}


def test_responses() -> None:
    """The message has one part, the refusal, and its pieces add up to it."""
    events = streamed_refusal(Responses())
    for told in (whole_refusal(Responses()), events[-1]["response"]):
        (item,) = told["output"]
        assert item["content"] == [{"type": "refusal", "refusal": WORDS}]
    of = {kind: [e for e in events if e["type"] == f"response.{kind}"] for kind in (
        "content_part.added", "refusal.delta", "refusal.done", "content_part.done")}  # fmt: skip
    assert [e["delta"] for e in of["refusal.delta"]] == [*PIECES]
    assert [e["refusal"] for e in of["refusal.done"]] == [WORDS]
    assert len(of["content_part.added"]) == len(of["content_part.done"]) == 1
    assert {e["content_index"] for found in of.values() for e in found} == {0}


@pytest.mark.parametrize("dialect", [Messages(), Responses()])
def test_text_before_it_stays(dialect: ApiDialect) -> None:
    """A refusal after some text is a second part, or the reason why the text ends."""
    message = {"role": "assistant", "content": "Well,", "refusal": WORDS}
    answer = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    chunk = OpenAIChatCodec().decode(json.dumps(answer).encode())
    assert isinstance(chunk, Chunk)
    told = dialect.whole(chunk, about_request(dialect))
    assert b"Well," in told
    assert WORDS.encode() in told


def test_why_a_claude_declined_is_told_in_other_dialects() -> None:
    """Its explanation is the refusal, whole and streamed; the reason stays the filter."""
    details = {"type": "refusal", "category": "bio", "explanation": WORDS}
    said = {"stop_reason": "refusal", "stop_sequence": None, "stop_details": details}
    head = {"type": "message", "role": "assistant", "model": "claude", "content": []}
    events = [
        {"type": "message_start", "message": {**head, "usage": {}}},
        {"type": "message_delta", "delta": said, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    data = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)
    chunks = list(AnthropicCodec().decoder().feed(data))
    answer = AnthropicCodec().decode(json.dumps({**head, **said}).encode())
    assert isinstance(answer, Chunk)
    for found in ([answer], chunks):
        writer = Responses().writer(about_request(Responses()))
        for chunk in found:
            assert isinstance(chunk, Chunk)
            writer.write(chunk)
        writer.end()
        response = writer.snapshot()
        assert response["output"][0]["content"] == [{"type": "refusal", "refusal": WORDS}]
        assert response["incomplete_details"] == {"reason": "content_filter"}
    choice = json.loads(Chat().whole(answer, about_request(Chat())))["choices"][0]
    assert (choice["finish_reason"], choice["message"]["refusal"]) == ("content_filter", WORDS)


@pytest.mark.parametrize(
    ("reason", "stop_reason", "ended"),
    [
        ("model_length", "max_tokens", "max_output_tokens"),  # Mistral's
        ("model_context_window_exceeded", "max_tokens", "max_output_tokens"),
        ("MAX_TOKENS", "max_tokens", "max_output_tokens"),
        ("sensitive", "refusal", "content_filter"),  # Z.ai's
        ("SAFETY", "refusal", "content_filter"),  # Gemini's
        ("content_filter: RECITATION", "refusal", "content_filter"),
        ("eos", "end_turn", None),
        ("STOP", "end_turn", None),
    ],
)
def test_why_others_ended_an_answer_is_told_in_words_of_each_api(
    reason: str, stop_reason: str, ended: str | None
) -> None:
    """An answer that was cut, or withheld, seemed complete; chat passes the word on."""
    choice = {"index": 0, "message": {"content": "a"}, "finish_reason": reason}
    chunk = OpenAIChatCodec().decode(json.dumps({"choices": [choice]}).encode())
    assert isinstance(chunk, Chunk)
    bodies = [json.loads(d.whole(chunk, about_request(d))) for d in (Messages(), Responses())]
    assert bodies[0]["stop_reason"] == stop_reason
    assert (bodies[1]["incomplete_details"] or {}).get("reason") == ended
    assert json.loads(Chat().whole(chunk, about_request(Chat())))["choices"][0] == choice


def test_a_call_that_gemini_itself_could_not_read_is_no_end() -> None:
    """It ends the answer with status 200 and without the call: another try or model may answer."""
    reason = "function_call_filter: MALFORMED_FUNCTION_CALL"
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
    (found,) = OpenAIChatCodec().decoder().feed(b"data: " + json.dumps(end).encode() + b"\n\n")
    assert isinstance(found, Fault)
    assert found.kind == "interrupted"
