"""Tools that are called with free text reach providers that know functions only, both ways."""

import json
from typing import Any

import pytest

from tests.gateway.world import Answer, World, world
from tests.runtime.world import CODE

PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Changes files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": 'start: "+" /.+/'},
}
TEXT = 'a line with "quotes"\nand another'


def ask_with_tool(w: World, **more: Any) -> Answer:
    """A request with the custom tool."""
    return w.post("/v1/responses", {"model": "auto", "input": CODE, "tools": [PATCH], **more})


def test_the_model_gets_a_function_and_the_caller_its_text() -> None:
    """The grammar is told in words; the one argument is the call's input."""
    with world() as w:
        response = ask_with_tool(w).json()
        (tool,) = w.sent()["tools"]
    assert tool["function"]["name"] == "apply_patch"
    assert tool["function"]["description"].startswith("Changes files.")
    assert PATCH["format"]["definition"] in tool["function"]["description"]
    (call,) = response["output"]
    assert call["type"] == "custom_tool_call"
    assert call["name"] == "apply_patch"
    assert call["call_id"]
    assert call["input"].startswith("r_")


def test_a_stream_tells_the_input_once_it_is_whole() -> None:
    """No piece of JSON gets out; added, told, done, and the same item in the end."""
    with world() as w:
        events = [json.loads(data) for _, data in ask_with_tool(w, stream=True).events()]
    kinds = [event["type"] for event in events]
    assert not [kind for kind in kinds if "function_call" in kind]
    told = {event["type"]: event for event in events}
    item = told["response.output_item.done"]["item"]
    assert told["response.output_item.added"]["item"]["input"] == ""
    assert told["response.custom_tool_call_input.delta"]["delta"] == item["input"]
    assert told["response.custom_tool_call_input.done"]["input"] == item["input"]
    assert item["input"].startswith("r_")
    assert told["response.completed"]["response"]["output"] == [item]


def test_calls_and_results_of_before_go_up() -> None:
    """To the letter, and beside ordinary functions."""
    items = [
        {"role": "user", "content": CODE},
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": TEXT},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
    ]
    with world() as w:
        assert ask_with_tool(w, input=items).status == 200
        _, call, result = w.sent()["messages"]
    (function,) = call["tool_calls"]
    assert json.loads(function["function"]["arguments"]) == {"input": TEXT}
    assert (result["tool_call_id"], result["content"]) == ("c1", "done")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"tools": [{"type": "web_search"}]}, "runs at one provider"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "send the item itself"),
    ],
)
def test_what_would_be_lost_is_refused_by_name(more: dict[str, Any], says: str) -> None:
    """Tools of one provider, and answers that the gateway has not kept."""
    with world() as w:
        refused = ask_with_tool(w, **more)
        assert w.upstream.requests == []
    assert refused.status == 400
    assert says in refused.json()["error"]["message"]


def test_what_a_search_found_is_read_as_text() -> None:
    """Blocks of texts in Messages: alone, in a tool's result, and as a document."""
    found = {
        "type": "search_result",
        "source": "notes.md",
        "title": "Notes",
        "content": [{"type": "text", "text": "The yard opens at six."}],
    }
    document = {"type": "document", "source": {"type": "content", "content": "Closed on Sunday."}}
    asks = [
        {"role": "user", "content": CODE},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t1", "name": "find", "input": {}}],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": [found]},
                found,
                document,
                {"type": "text", "text": CODE},
            ],
        },
    ]
    with world() as w:
        answer = w.post("/v1/messages", {"model": "auto", "max_tokens": 9, "messages": asks})
        assert answer.status == 200
        *_, result, user = w.sent()["messages"]
    words = "Notes\nnotes.md\nThe yard opens at six."
    assert result["content"] == words
    assert [part["text"] for part in user["content"]] == [words, "Closed on Sunday.", CODE]
