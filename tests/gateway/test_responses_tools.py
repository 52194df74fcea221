"""Namespaces of tools, searches for tools and a coding agent's history reach all providers."""

import json
from typing import Any

import pytest

from tests.gateway.world import Answer, World, world
from tests.runtime.world import CODE

FIND = {"type": "function", "name": "find", "parameters": {"type": "object", "properties": {}}}
PATCH = {"type": "custom", "name": "patch", "description": "Changes files."}
CRM = {"type": "namespace", "name": "crm", "description": "Customers.", "tools": [FIND, PATCH]}
SEARCH = {
    "type": "tool_search",
    "execution": "client",
    "description": "Finds tools.",
    "parameters": {"type": "object", "properties": {"query": {"type": "string"}}},
}
PARALLEL = {"fast": "acme/f-parallel", "coder": "acme/f-parallel", "strong": "acme/f-parallel"}


def ask_with_namespace(w: World, **more: Any) -> Answer:
    """A request with the namespace."""
    return w.post("/v1/responses", {"model": "auto", "input": CODE, "tools": [CRM], **more})


def names(body: Any) -> list[str]:
    """The tools that a provider of either family was shown."""
    return [tool.get("function", tool)["name"] for tool in body["tools"]]


@pytest.mark.parametrize("family", ["openai", "anthropic"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_namespace_comes_back_apart(family: str, *, stream: bool) -> None:
    """Each of its tools is a function for the model, and its calls name both for the caller."""
    with world(family=family, models=PARALLEL) as w:
        answer = ask_with_namespace(w, stream=stream)
        assert names(w.sent()) == ["crm__find", "crm__patch"]
    if stream:
        events = [json.loads(data) for _, data in answer.events()]
        output = events[-1]["response"]["output"]
        added = [e["item"] for e in events if e["type"] == "response.output_item.added"]
        assert [item.get("namespace") for item in added if "name" in item] == ["crm", "crm"]
    else:
        output = answer.json()["output"]
    calls = [item for item in output if item["type"].endswith("_call")]
    assert [(c["type"], c["namespace"], c["name"]) for c in calls] == [
        ("function_call", "crm", "find"),
        ("custom_tool_call", "crm", "patch"),
    ]


def test_its_calls_of_before_go_up_under_the_same_name() -> None:
    """So that the model knows its own call again; long names are shortened alike."""
    long = {**FIND, "name": "n" * 60}
    items = [
        {"role": "user", "content": CODE},
        {
            "type": "function_call",
            "call_id": "c1",
            "name": long["name"],
            "namespace": "crm",
            "arguments": "{}",
        },
        {"type": "function_call_output", "call_id": "c1", "output": "done"},
    ]
    with world() as w:
        assert ask_with_namespace(w, input=items, tools=[{**CRM, "tools": [long]}]).status == 200
        body = w.sent()
    (name,) = names(body)
    assert len(name) == 64
    assert body["messages"][1]["tool_calls"][0]["function"]["name"] == name


def test_one_of_a_namespace_can_be_demanded_or_allowed() -> None:
    """By both its names."""
    one = {"type": "function", "name": "find", "namespace": "crm"}
    with world() as w:
        assert ask_with_namespace(w, tool_choice=one).status == 200
        assert w.sent()["tool_choice"]["function"]["name"] == "crm__find"
        allowed = {"type": "allowed_tools", "mode": "auto", "tools": [one]}
        assert ask_with_namespace(w, tool_choice=allowed).status == 200
        assert names(w.sent()) == ["crm__find"]


def test_a_callers_search_for_tools_is_a_function() -> None:
    """Its call comes back as a search, and what it found can be called from then on."""
    with world(models=PARALLEL) as w:
        (call,) = ask_with_namespace(w, tools=[SEARCH]).json()["output"]
        assert (call["type"], call["execution"]) == ("tool_search_call", "client")
        assert isinstance(call["arguments"]["query"], str)
        found = {
            "type": "tool_search_output",
            "execution": "client",
            "call_id": call["call_id"],
            "tools": [CRM],
        }
        items = [{"role": "user", "content": CODE}, call, found, {"role": "user", "content": CODE}]
        again = ask_with_namespace(w, tools=[SEARCH], input=items)
        body = w.sent()
    assert names(body) == ["tool_search", "crm__find", "crm__patch"]
    _, before, result, _ = body["messages"]
    assert json.loads(before["tool_calls"][0]["function"]["arguments"]) == call["arguments"]
    assert "crm__find" in result["content"]
    assert {item.get("namespace") for item in again.json()["output"]} == {None, "crm"}


def test_a_providers_search_has_nothing_left_to_find() -> None:
    """Tools that wait to be found are shown at once."""
    with world() as w:
        later = {**FIND, "defer_loading": True}
        assert ask_with_namespace(w, tools=[later, {"type": "tool_search"}]).status == 200
        assert names(w.sent()) == ["find"]


def test_tools_may_come_with_the_input() -> None:
    """As some clients send them, in an item that is no message."""
    items = [{"type": "additional_tools", "tools": [CRM]}, {"role": "user", "content": CODE}]
    with world() as w:
        assert ask_with_namespace(w, input=items, tools=[]).status == 200
        assert names(w.sent()) == ["crm__find", "crm__patch"]
        assert len(w.sent()["messages"]) == 1


@pytest.mark.parametrize("kind", ["additional_tools", "tool_search_output"])
def test_a_hosted_tool_in_the_input_goes_only_where_it_runs(kind: str) -> None:
    """As one beside the input does; elsewhere the model would not have it."""
    items = [
        {"role": "user", "content": CODE},
        {"type": "tool_search_call", "call_id": "c1", "arguments": {}, "execution": "client"},
        {"type": kind, "call_id": "c1", "tools": [FIND, {"type": "web_search"}]},
    ]
    with world(speaks={"strong": "openai-responses"}) as w:
        answer = ask_with_namespace(w, input=items)
        assert (answer.status, answer.headers["x-turnout-model"]) == (200, "acme/strong")
        assert w.sent()["input"][-1]["tools"] == [FIND, {"type": "web_search"}]
    with world() as w:
        refused = ask_with_namespace(w, input=items)
        assert (refused.status, w.upstream.requests) == (400, [])
        assert "'web_search' runs at one provider" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("tools", "says"),
    [
        ([{"type": "web_search"}], 'web_search = "disabled"'),
        ([CRM, {**FIND, "name": "crm__find"}], "two tools are called 'crm__find'"),
        ([{"type": "function", "parameters": {}}], "without a name"),
        ([{**CRM, "tools": [CRM]}], "'namespace'"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(tools: list[Any], says: str) -> None:
    """And where a client declares a tool of its provider's on its own, how it is told not to."""
    with world() as w:
        refused = ask_with_namespace(w, tools=tools)
        assert w.upstream.requests == []
    assert refused.status == 400
    assert says in refused.json()["error"]["message"]


@pytest.mark.parametrize("family", ["openai", "anthropic"])
def test_results_follow_their_calls(family: str) -> None:
    """Though a text, a note or another call came between them, as in this API they may."""
    first, second = (
        {"type": "function_call", "call_id": f"c{i}", "name": "find", "arguments": "{}"}
        for i in (1, 2)
    )
    items = [
        {"role": "user", "content": CODE},
        first,
        {"role": "assistant", "content": [{"type": "output_text", "text": "Looking."}]},
        second,
        {"role": "user", "content": "Go on."},
        {"type": "function_call_output", "call_id": "c2", "output": "two"},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {}},
    ]
    with world(family=family) as w:
        assert ask_with_namespace(w, input=items, tools=[FIND]).status == 200
        told = w.sent()["messages"]
    if family == "openai":
        roles = ["user", "assistant", "tool", "assistant", "tool", "user"]
        assert [m["role"] for m in told] == roles
        assert [m["content"] for m in told if m["role"] == "tool"] == ["one", "two"]
    else:
        assert [m["role"] for m in told] == ["user", "assistant"] * 2 + ["user"]
        assert [m["content"][0].get("tool_use_id") for m in told[2::2]] == ["c1", "c2"]


def test_a_tool_may_tell_something_uncalled() -> None:
    """As a coding agent does with the goal that was set; the model reads it, and from whom."""
    told = {
        "type": "function_call_output",
        "name": "goal",
        "namespace": "agent",
        "output": "Build a yard.",
    }
    with world() as w:
        assert ask_with_namespace(w, input=[{"role": "user", "content": CODE}, told]).status == 200
        *_, last = w.sent()["messages"]
    assert last["role"] == "user"
    assert [part["text"] for part in last["content"]] == ["agent__goal:", "Build a yard."]
