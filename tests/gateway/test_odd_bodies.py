"""Odd but legal bodies of Messages and Responses: what cannot be kept is refused by name."""

import json
from typing import Any

import pytest

from tests.gateway.world import chat, world
from turnout import InvalidRequest
from turnout.gateway.dialects.messages import Messages
from turnout.gateway.dialects.responses import Responses

QUESTION = {"role": "user", "content": "What is the capital of Japan?"}
PNG = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
IMAGE = {"type": "image", "source": PNG}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TOOLS = [{"type": "function", "name": name, "parameters": {}} for name in ("f", "g")]


def user_parts(*blocks: dict[str, Any]) -> Any:
    """What a Messages user turn of these blocks is in chat's words."""
    payload = {"max_tokens": 9, "messages": [{"role": "user", "content": list(blocks)}, QUESTION]}
    (told, _) = Messages().read(payload).body["messages"]
    return told["content"]


def text(words: str) -> dict[str, Any]:
    """A text part."""
    return {"type": "text", "text": words}


@pytest.mark.parametrize(
    ("block", "parts"),
    [
        (
            {"source": {"type": "text", "data": "says"}, "title": "Called", "context": "about"},
            "Called\nabout\nsays",
        ),
        (
            {"source": {"type": "content", "content": [text("one"), IMAGE]}},
            [text("one"), PICTURE],
        ),
        ({"source": {"type": "content", "content": "one"}, "title": "Called"}, "Called\none"),
        (
            {"source": {"type": "file", "file_id": "file_1"}},
            [{"type": "file", "file": {"file_id": "file_1"}}],
        ),
        (
            {"type": "container_upload", "file_id": "file_1"},
            [{"type": "file", "file": {"file_id": "file_1"}}],
        ),
        ({"type": "newer", "of": ["its own"]}, [{"type": "newer", "of": ["its own"]}]),
        ({"type": "newer", "source": "text"}, [{"type": "newer", "source": "text"}]),
    ],
)  # fmt: skip
def test_documents_arrive_whole(block: dict[str, Any], parts: Any) -> None:
    """Title, context and pictures too; a file of the provider's is named, not made an empty one."""
    assert user_parts({"type": "document", **block}) == parts


def test_an_answer_of_thoughts_alone_is_left_out_for_others() -> None:
    """An assistant message without content and calls is refused by most providers."""
    thought = [{"type": "thinking", "thinking": "hm", "signature": "s"}]
    said = {"role": "assistant", "content": thought}
    payload = {"max_tokens": 9, "messages": [QUESTION, said, QUESTION]}
    assert Messages().read(payload).body["messages"] == [QUESTION, QUESTION]


@pytest.mark.parametrize("content", ["Be brief.", [text("Be brief.")]])
def test_a_system_message_may_come_anywhere(content: Any) -> None:
    """Newer models of Anthropic's take it between the turns."""
    payload = {"max_tokens": 9, "messages": [QUESTION, {"role": "system", "content": content}]}
    messages = Messages().read(payload).body["messages"]
    assert messages == [QUESTION, {"role": "system", "content": "Be brief."}]


def test_servers_of_tools_are_not_lost_in_silence() -> None:
    """Who does not know the field says so."""
    servers = [{"type": "url", "url": "https://tools.example.org", "name": "t"}]
    payload = {"max_tokens": 9, "messages": [QUESTION], "mcp_servers": servers}
    assert Messages().read(payload).body["mcp_servers"] == servers


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"tool_choice": {"type": "sometimes"}, "tools": [{"name": "f"}]}, "tool_choice.type"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
            "messages[0].source",
        ),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0]"),
    ],
)
def test_what_messages_does_not_know_is_refused_by_name(more: dict[str, Any], field: str) -> None:
    """It used to be dropped, or to become an empty place."""
    with pytest.raises(InvalidRequest) as refused:
        Messages().read({"max_tokens": 9, "messages": [QUESTION], **more})
    assert refused.value.field == field


def responses(given: Any = "hello there", **more: Any) -> dict[str, Any]:
    """The chat body of a Responses request."""
    return dict(Responses().read({"input": given, **more}).body)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"text": {"verbosity": "low"}}, {"verbosity": "low"}),
        (
            {"include": ["message.output_text.logprobs"], "top_logprobs": 3},
            {"logprobs": True, "top_logprobs": 3},
        ),
        ({"prompt_cache_key": "k", "safety_identifier": "s"}, None),
        ({"tool_choice": {"type": "custom", "name": "f"}, "tools": TOOLS}, {"tool_choice": {
            "type": "function", "function": {"name": "f"}}}),
    ],
)  # fmt: skip
def test_what_chat_has_a_word_for_is_told_in_it(
    asked: dict[str, Any], told: dict[str, Any] | None
) -> None:
    """Settings that both APIs have do not get lost between them."""
    body = responses(**asked)
    assert {**body, **(told or asked)} == body


def test_tools_that_are_not_allowed_are_not_shown() -> None:
    """Every provider understands a list of tools, few a choice among them."""
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"name": "g"}]}
    body = responses(tools=TOOLS, tool_choice=allowed)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["g"]
    assert body["tool_choice"] == "required"


@pytest.mark.parametrize(
    ("part", "told"),
    [
        ({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}, None),
        ({"type": "input_file", "file_id": "f"}, {"type": "file", "file": {"file_id": "f"}}),
        (
            {"type": "input_file", "file_url": "https://example.org/a.pdf"},
            {
                "type": "file",
                "file": {"filename": "file", "file_data": "https://example.org/a.pdf"},
            },
        ),
        (
            {"type": "input_image", "file_id": "f", "detail": "low"},
            {"type": "image_url", "image_url": {"file_id": "f", "detail": "low"}},
        ),
    ],
)
def test_parts_of_every_kind(part: dict[str, Any], told: dict[str, Any] | None) -> None:
    """Sound and files have words in chat; an id goes on, so that others refuse it."""
    (message,) = responses([{"role": "user", "content": [part]}])["messages"]
    assert message["content"] == [told or part]


@pytest.mark.parametrize(
    "item",
    [
        {"type": None, "role": "assistant", "content": None},
        {"role": "assistant"},
        {"role": "assistant", "content": []},
    ],
)
def test_a_message_without_content_is_an_empty_text(item: dict[str, Any]) -> None:
    """An empty list of parts is refused by most providers."""
    last = responses([QUESTION, item])["messages"][-1]
    assert last == {"role": "assistant", "content": ""}


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"tool_choice": {"type": "web_search_preview"}, "tools": TOOLS}, "tool_choice"),
        ({"tool_choice": 5, "tools": TOOLS}, "tool_choice"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type"),
        ({"input": [QUESTION, {"type": "function_call", "name": "f"}]}, "input[1].call_id"),
        ({"input": [QUESTION, {"type": "function_call", "call_id": "c"}]}, "input[1].name"),
        (
            {"input": [QUESTION, {"type": "function_call_output", "output": "x"}]},
            "input[1].call_id",
        ),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0]"),
    ],
)  # fmt: skip
def test_what_responses_does_not_know_is_refused_by_name(asked: dict[str, Any], field: str) -> None:
    """A null name or id went to the provider; an unknown format was dropped."""
    with pytest.raises(InvalidRequest) as refused:
        Responses().read({"input": "hello there", **asked})
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("path", "more", "says", "param"),
    [
        ("messages", {"stop_sequences": "x"}, "stop_sequences is 'x'; use a list", None),
        ("messages", {"stop_sequences": [5]}, "stop_sequences is [5]; use", None),
        ("chat/completions", {"stop": [None]}, "stop is [None]; use", "stop"),
        ("chat/completions", {"modalities": 5}, "modalities is 5; use a list", "modalities"),
        ("responses", {"max_output_tokens": 0}, "max_output_tokens is 0; use", "max_output_tokens"),
        ("responses", {"input": " "}, "the prompt is empty", "input"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_as_the_caller_names_it(
    path: str, more: dict[str, Any], says: str, param: str | None
) -> None:
    """Nothing is sent: it would be paid for, and the answer could not be read back."""
    asked = {"input": "Hm?"} if path == "responses" else chat(max_tokens=20)
    with world() as w:
        said = w.post(f"/v1/{path}", {**asked, "model": "fast", **more})
        assert (said.status, w.upstream.requests) == (400, [])
    error = said.json()["error"]
    assert error["message"].startswith(says)
    assert error.get("param") == param


@pytest.mark.parametrize("stream", [False, True])
def test_log_probabilities_come_back_over_responses(*, stream: bool) -> None:
    """As parts of the text, whole and piece by piece."""
    body = {"model": "coder", "input": "hello there", "stream": stream}
    asked = {"include": ["message.output_text.logprobs"], "top_logprobs": 1}
    with world() as w:
        answer = w.post("/v1/responses", {**body, **asked})
    if stream:
        events = [json.loads(data) for _, data in answer.events()]
        pieces = [e["logprobs"] for e in events if e["type"] == "response.output_text.delta"]
        response = events[-1]["response"]
    else:
        response = answer.json()
    (part,) = response["output"][0]["content"]
    assert "".join(one["token"] for one in part["logprobs"]) == part["text"]
    assert all(isinstance(one["logprob"], float) for one in part["logprobs"])
    if stream:
        assert [one for piece in pieces for one in piece] == part["logprobs"]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"n": 2}, "n is not offered"),
        ({"logprobs": True}, "logprobs is not offered"),
        ({"functions": [{"name": "f"}]}, "functions is not offered"),
    ],
)
def test_what_no_model_can_be_asked_is_the_callers_to_change(
    more: dict[str, Any], says: str
) -> None:
    """A 502 would have clients try again what can never work."""
    with world(family="anthropic") as w:
        answer = w.post("/v1/chat/completions", chat(model="coder", **more))
        assert not w.upstream.requests
    error = answer.json()["error"]
    assert answer.status == 400
    assert float(answer.headers["x-turnout-cost-usd"]) == 0  # nothing was sent
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_request")
    assert says in error["message"]
    assert error["attempts"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "family"),
    [
        ("/v1/messages", "openai"),
        ("/v1/responses", "openai"),
        ("/v1/responses", "anthropic"),
    ],
)
def test_tokens_that_the_provider_did_not_count_are_told_as_we_did(
    path: str, family: str, *, stream: bool
) -> None:
    """Zero would be a claim; only what passes in the provider's own words stays as it was."""
    body = {**chat(max_tokens=99), "input": "What is the capital of Japan?", "stream": stream}
    with world(family=family, models={"coder": "acme/f-nousage"}) as w:
        answer = w.post(path, {**body, "model": "coder"})
    if stream:
        ends = [json.loads(data) for _, data in answer.events()][-2:]
        told = ends[0] if path == "/v1/messages" else ends[1]["response"]
    else:
        told = answer.json()
    assert told["usage"]["input_tokens"] > 5
    assert told["usage"]["output_tokens"] > 5
