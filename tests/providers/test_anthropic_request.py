"""What Anthropic's Messages are asked, where they take less than chat completions do."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.providers.worlds import deployment
from turnout.core import InvalidRequest, Request
from turnout.providers.anthropic import AnthropicCodec

WHERE = deployment("https://api.anthropic.com", "claude-x")
CLAUDE = replace(WHERE, provider=replace(WHERE.provider, family="anthropic"))


def sent(**more: Any) -> dict[str, Any]:
    """The body of a chat request with these fields, as Anthropic gets it."""
    body = {"messages": [{"role": "user", "content": "x"}], **more}
    request = Request(id="r", body=body)
    told: dict[str, Any] = json.loads(
        AnthropicCodec(mark="m").encode(request, CLAUDE, stream=False).body
    )
    return told


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"temperature": 0.2, "top_p": 0.9}, {"temperature": 0.2}),
        ({"temperature": 1, "top_p": 0.9}, {"top_p": 0.9}),
        ({"temperature": 1.0, "top_p": 1.0}, {"temperature": 1.0}),
        ({"temperature": 0, "top_p": 1}, {"temperature": 0}),
        ({"top_p": 1}, {"top_p": 1}),
        ({}, {}),
    ],
)
def test_one_of_temperature_and_top_p_is_sent(given: dict[str, Any], kept: dict[str, Any]) -> None:
    """Together they are refused by its newer models, and many clients send both."""
    body = sent(**given)
    assert {name: body[name] for name in ("temperature", "top_p") if name in body} == kept


def test_a_temperature_that_it_does_not_take_is_for_another_model() -> None:
    """Chat completions go up to 2; it is not silently made another one."""
    with pytest.raises(InvalidRequest, match=r"temperature is 1.5; .* at most 1"):
        sent(temperature=1.5)


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
OTHER = {"type": "function", "function": {"name": "g", "parameters": {"type": "object"}}}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"functions": [{"name": "f"}]}, "functions is not offered"),
        ({"web_search_options": {}}, "web_search_options is not offered"),
        ({"response_format": {"type": "grammar"}}, "response_format of type 'grammar'"),
        ({"tools": [{"type": "custom", "custom": {"name": "g"}}]}, "a custom tool"),
        ({"tools": [TOOL], "tool_choice": "sometimes"}, "tool_choice is 'sometimes'"),
        ({"tools": [TOOL], "tool_choice": {"type": "custom", "custom": {"name": "g"}}}, "takes"),
        ({"messages": [{"role": "assistant", "function_call": {"name": "f"}}]}, "function_call"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "a", "type": "custom"}]}]},
            "call of type 'custom'",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]},
         "no file_data"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": None}]}]},
         "no image_url"),
    ],
)  # fmt: skip
def test_what_it_has_no_word_for_is_for_another_model(more: dict[str, Any], says: str) -> None:
    """Dropped, it would change what was asked; sent as null, it would blame the caller."""
    with pytest.raises(InvalidRequest, match=says):
        sent(**more)


def test_allowed_tools_are_the_only_ones_shown() -> None:
    """It knows one tool, any or none, but no list to choose from."""
    allowed = {"mode": "required", "tools": [OTHER]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    body = sent(tools=[TOOL, OTHER], tool_choice=choice)
    assert [tool["name"] for tool in body["tools"]] == ["g"]
    assert body["tool_choice"] == {"type": "any"}


def test_instructions_alone_are_the_users_turn() -> None:
    """Chat takes a system message by itself; Messages wants a turn of the user's."""
    body = sent(messages=[{"role": "system", "content": "Say a number."}])
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Say a number."}]}
    ]
    assert "system" not in body


def test_parts_keep_where_a_cache_ends_and_empty_texts_are_left_out() -> None:
    """An empty text block is refused; a cache that is not marked is paid for again."""
    cached = {"type": "text", "text": "Long rules.", "cache_control": {"type": "ephemeral"}}
    empty = {"type": "text", "text": ""}
    asked = {"role": "user", "content": [empty, {"type": "text", "text": "x"}]}
    body = sent(messages=[{"role": "system", "content": [cached]}, asked])
    assert body["system"] == [cached]
    assert body["messages"][0]["content"] == [{"type": "text", "text": "x"}]


def test_a_text_file_is_a_document_of_text() -> None:
    """Only PDFs may come as bytes."""
    file = {"filename": "a.txt", "file_data": "data:text/plain;base64,aGVsbG8="}
    body = sent(messages=[{"role": "user", "content": [{"type": "file", "file": file}]}])
    (block,) = body["messages"][0]["content"]
    assert block["source"] == {"type": "text", "media_type": "text/plain", "data": "hello"}


@pytest.mark.parametrize(
    ("url", "media_type", "data"),
    [
        ("data:image/jpg;base64,AAAA", "image/jpeg", "AAAA"),
        ("DATA:IMAGE/PNG;BASE64,AAAA", "image/png", "AAAA"),
        ("data:image/png;charset=utf-8;base64,AAAA", "image/png", "AAAA"),
        ("data:image/gif,%00%00%00", "image/gif", "AAAA"),
    ],
)
def test_a_picture_is_told_by_the_words_of_the_api(url: str, media_type: str, data: str) -> None:
    """However its data URL is written."""
    part = {"type": "image_url", "image_url": {"url": url}}
    (block,) = sent(messages=[{"role": "user", "content": [part]}])["messages"][0]["content"]
    assert block["source"] == {"type": "base64", "media_type": media_type, "data": data}


def test_an_answer_that_was_a_refusal_stays_in_the_history() -> None:
    """Its text is in a field of its own."""
    body = sent(messages=[
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": None, "refusal": "I would rather not."},
        {"role": "user", "content": "y"},
    ])  # fmt: skip
    assert body["messages"][1]["content"] == [{"type": "text", "text": "I would rather not."}]


def test_json_that_has_no_schema_is_asked_for_in_words() -> None:
    """There is no mode for it, and left to itself a model puts Markdown around it."""
    body = sent(response_format={"type": "json_object"})
    assert "JSON object" in body["system"][-1]["text"]
    assert "system" not in sent(response_format={"type": "text"})


@pytest.mark.parametrize("stop", ["\n", ["END", " \n"]])
def test_a_blank_stop_is_for_another_model(stop: object) -> None:
    """Anthropic's API refuses it, which would be the end of the request."""
    with pytest.raises(InvalidRequest, match="no blank text"):
        sent(stop=stop)


@pytest.mark.parametrize(("stop", "told"), [("END", ["END"]), (["A", "B"], ["A", "B"])])
def test_stops_are_sent(stop: object, told: list[str]) -> None:
    """One or several."""
    assert sent(stop=stop)["stop_sequences"] == told


def test_its_own_words_in_a_chat_body_are_heard() -> None:
    """Clients of chat completions send them beside OpenAI's."""
    assert sent(top_k=5, temperature=0.2)["top_k"] == 5
    thinks = sent(thinking={"type": "enabled", "budget_tokens": 2000}, top_k=5)
    assert thinks["thinking"] == {"type": "enabled", "budget_tokens": 2048}
    assert "top_k" not in thinks
    assert "thinking" not in sent(thinking={"type": "disabled"})


def test_what_chat_says_in_other_words_is_heard() -> None:
    """A file's name, who asks, what a format is for, and where a cache may end."""
    mark = {"type": "ephemeral"}
    file = {"filename": "report.pdf", "file_data": "data:application/pdf;base64,AAAA"}
    schema = {"type": "object", "properties": {}}
    wanted = {"name": "a", "description": "A city.", "schema": schema}
    body = sent(
        messages=[
            {"role": "user", "content": [{"type": "file", "file": file}], "cache_control": mark}
        ],
        safety_identifier="someone",
        cache_control=mark,
        tools=[{"type": "function", "function": {"name": "f"}, "cache_control": mark}],
        response_format={"type": "json_schema", "json_schema": wanted},
    )
    block = body["messages"][0]["content"][0]
    assert (block["title"], block["cache_control"]) == ("report.pdf", mark)
    assert body["metadata"] == {"user_id": "someone"}
    assert (body["cache_control"], body["tools"][0]["cache_control"]) == (mark, mark)
    assert body["output_config"]["format"]["schema"]["description"] == "A city."
