"""Tools that run at OpenAI go where they can, come back as they are, and are never lost."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.world import Answer, World, world
from tests.runtime.world import CODE, STORY, UNSAFE
from turnout.core import Chunk, InvalidRequest
from turnout.core.hosted import has_paid_by_call, hosted, is_paid_by_call
from turnout.gateway.access import Access
from turnout.gateway.dialects import Responses
from turnout.runtime.answer_texts import answer_texts

SEARCH = {"type": "web_search", "search_context_size": "low"}
FIND = {"type": "function", "name": "find", "parameters": {"type": "object", "properties": {}}}
MCP = {"type": "mcp", "server_label": "yard", "server_url": "https://mcp.example.org"}
APPROVAL = {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}


def ask_with_search(w: World, **more: Any) -> Answer:
    """A request with a search of the web."""
    return w.post("/v1/responses", {"model": "auto", "input": CODE, "tools": [SEARCH], **more})


FOUND = {"type": "web_search_result", "url": "u", "title": "t", "encrypted_content": "x" * 3_000}
GAVE_BACK = {
    "words": {"type": "mcp_tool_result", "tool_use_id": "m", "content": "nine words " * 100},
    "sealed pages": {"type": "web_search_tool_result", "tool_use_id": "s", "content": [FOUND]},
}


@pytest.mark.parametrize("block", GAVE_BACK.values(), ids=GAVE_BACK)
def test_what_tools_gave_back_is_counted_where_it_goes(block: dict[str, Any]) -> None:
    """Whoever asks how long the conversation is by now would compact it too late else."""
    ask = {"role": "user", "content": "Go on"}

    def count_tokens(w: World, model: str, *blocks: dict[str, Any]) -> int:
        said = {"role": "assistant", "content": [{"type": "text", "text": "So."}, *blocks]}
        body = {"model": model, "messages": [ask, said, ask]}
        answer = w.post("/v1/messages/count_tokens", body)
        assert answer.status == 200, answer.body
        return int(answer.json()["input_tokens"])

    with world(speaks={"strong": "anthropic"}) as w:
        assert count_tokens(w, "fast", block) == count_tokens(w, "fast")
        more = count_tokens(w, "strong", block) - count_tokens(w, "strong")
        assert 200 <= more <= 1_100
        assert count_tokens(w, "auto", block) == count_tokens(w, "strong", block)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_it_goes_up_as_it_is_and_its_items_come_back_in_order(*, stream: bool) -> None:
    """Before the text, with every event; functions beside it are called as ever."""
    with world(family="openai-responses") as w:
        answer = ask_with_search(w, stream=stream, tool_choice={"type": "web_search"})
        assert answer.status == 200, answer.body
        assert w.sent()["tools"] == [SEARCH]
        assert w.sent()["tool_choice"] == {"type": "web_search"}
        events = [json.loads(data) for _, data in answer.events()] if stream else []
        output = (events[-1]["response"] if stream else answer.json())["output"]
        assert [item["type"] for item in output] == ["web_search_call", "message"]
        assert output[0]["action"] == {"type": "search", "query": "trains"}
        kinds = [event["type"] for event in events]
        if stream:
            assert kinds[:4] == [
                "response.created",
                "response.output_item.added",
                "response.web_search_call.in_progress",
                "response.web_search_call.completed",
            ]
        called = ask_with_search(w, stream=stream, tools=[SEARCH, FIND])
        more = json.loads(called.events()[-1][1])["response"] if stream else called.json()
        assert [i["type"] for i in more["output"]] == ["web_search_call", "function_call"]


def test_what_came_back_goes_up_again() -> None:
    """The next turn's history has the search in it, and other families get on without."""
    with world(family="openai-responses") as w:
        first = ask_with_search(w).json()["output"]
        again = [{"role": "user", "content": CODE}, *first, {"role": "user", "content": "More"}]
        assert ask_with_search(w, input=again).status == 200
        assert [item.get("type") for item in w.sent()["input"]][1] == "web_search_call"
    with world() as w:
        assert ask_with_search(w, input=again, tools=[]).status == 200
        assert [m["role"] for m in w.sent()["messages"]] == ["user", "assistant", "user"]


@pytest.mark.parametrize("family", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({}, 'in Codex: web_search = "disabled"'),
        ({"model": "coder"}, "'web_search' runs at one provider"),
        ({"tools": [FIND, {"type": "image_generation"}]}, "image_generation = false"),
        ({"tools": [MCP, SEARCH]}, "'mcp', 'web_search' runs"),
        ({"tools": [], "input": [{"role": "user", "content": CODE}, APPROVAL]},
         "'mcp_approval_response'"),
    ],
)  # fmt: skip
def test_where_nobody_can_run_it_the_refusal_names_it(
    family: str, more: dict[str, Any], says: str
) -> None:
    """And how to do without; no model is asked."""
    with world(family=family) as w:
        answer = ask_with_search(w, **more)
        assert w.upstream.requests == []
    assert answer.status == 400
    assert answer.json()["error"]["param"] == "tools"
    assert says in answer.json()["error"]["message"]
    assert "family: openai-responses" in answer.json()["error"]["message"]


def test_only_models_that_can_run_it_are_candidates() -> None:
    """The rest say why; a model that is named and cannot is refused, though others could."""
    with world(speaks={"strong": "openai-responses"}) as w:
        answer = ask_with_search(w)
        assert answer.status == 200, answer.body
        assert answer.headers["x-turnout-model"] == "acme/strong"
        assert w.upstream.requests[-1].path == "/v1/responses"
        record = w.get(f"/v1/decisions/{answer.headers['x-turnout-decision']}").json()
        excluded = {c["deployment"]: c["excluded"] for c in record["candidates"]}
        assert excluded == {
            "fast": "does not run web_search",
            "coder": "does not run web_search",
            "strong": None,
        }
        assert ask_with_search(w, tools=[FIND]).headers["x-turnout-model"] == "acme/coder"
        calls = len(w.upstream.requests)
        assert ask_with_search(w, model="coder").status == 400
        # One that fails has no fallback among those that cannot.
        w.upstream.scripts["acme/strong"] = "f-500"
        assert ask_with_search(w).status == 502
        assert {r.path for r in w.upstream.requests[calls:]} == {"/v1/responses"}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_what_is_paid_by_the_call_has_no_known_price(*, stream: bool) -> None:
    """Neither before nor after, unless it was not used; what is paid in tokens has one."""
    with world(family="openai-responses") as w:
        for tools, known in (([SEARCH], False), ([MCP], True), ([FIND], True)):
            answer = ask_with_search(w, tools=tools, stream=stream)
            record = w.get(f"/v1/decisions/{answer.headers['x-turnout-decision']}").json()
            assert (record["cost_usd"] is not None) == known, tools
            name = "x-turnout-expected-cost-usd" if stream else "x-turnout-cost-usd"
            assert (answer.headers[name] != "unknown") == known
        limited = w.post(
            "/v1/responses",
            {"model": "auto", "input": CODE, "tools": [SEARCH]},
            {"x-turnout-max-cost-usd": "5"},
        )
        assert limited.status == 400
        assert "its price is unknown" in limited.json()["error"]["message"]


@pytest.mark.parametrize("family", ["openai", "openai-responses"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_it_has_none_for_other_callers_either(path: str, family: str) -> None:
    """A provider gets such a tool from them as well; what it runs, nobody here could price."""
    body = {"model": "auto", "max_tokens": 99, "messages": [{"role": "user", "content": CODE}]}
    custom = {"name": "find", "input_schema": {"type": "object", "properties": {}}}
    function = {"function": {"name": "find"}}  # some clients leave out its type
    own = [function, {"type": "function", **function}] if "chat" in path else [custom]
    with world(family=family) as w:
        for tools, status in ((own, 200), ([*own, SEARCH], 400)):
            answer = w.post(path, {**body, "tools": tools}, {"x-turnout-max-cost-usd": "5"})
            assert answer.status == status, answer.body
        assert "its price is unknown" in answer.json()["error"]["message"]


def test_a_key_with_a_budget_in_dollars_has_no_such_tools(tmp_path: Path) -> None:
    """What they cost is not known, and a budget must hold; by its other requests it may ask."""
    admin = {"x-api-key": "admin-key-0123456789"}
    access = Access(admin=admin["x-api-key"])
    with world(family="openai-responses", access=access, ledger=str(tmp_path / "l.db")) as w:
        made = w.post("/v1/keys", {"name": "k", "budgets": [{"window": "day", "usd": 5}]}, admin)
        key = {"authorization": f"Bearer {made.json()['key']}"}
        body = {"model": "auto", "input": CODE, "tools": [SEARCH]}
        refused = w.post("/v1/responses", body, key)
        assert refused.status == 402
        assert w.upstream.requests == []
        assert w.post("/v1/responses", {**body, "tools": [MCP]}, key).status == 200
        assert w.post("/v1/responses", body, admin).status == 200


def test_what_anthropic_may_search_for_is_held_or_unknown() -> None:
    """With ``max_uses`` it has a price; without there is no end to it, which the refusal says."""
    tool = {"type": "web_search_20250305", "name": "web_search"}
    body = {"model": "auto", "max_tokens": 99, "messages": [{"role": "user", "content": CODE}]}
    price = {"input": 1, "output": 2, "searches": 10}
    prices = dict.fromkeys(("fast", "strong", "coder"), price)
    limit = {"x-turnout-max-cost-usd": "0.05"}
    with world(family="anthropic", prices=prices) as w:
        for uses, status in ((3, 200), (8, 400), (None, 400)):
            tools = [tool if uses is None else {**tool, "max_uses": uses}]
            answer = w.post("/v1/messages", {**body, "tools": tools}, limit)
            assert answer.status == status, answer.body
        assert "web_search has no max_uses" in answer.json()["error"]["message"]
        assert w.post("/v1/messages", {**body, "tools": [tool]}).status == 200


def test_a_cut_after_a_search_is_told_and_not_begun_anew() -> None:
    """The caller has seen it begin, and it was paid for."""
    with world(family="openai-responses", models={"coder": "acme/f-cut@0"}) as w:
        answer = ask_with_search(w, stream=True)
        names = [name for name, _ in answer.events()]
    assert names[:2] == ["response.created", "response.output_item.added"]
    assert names[-2:] == ["error", "response.failed"]
    failed = json.loads(answer.events()[-1][1])["response"]
    assert [item["type"] for item in failed["output"]] == ["web_search_call"]
    assert len(w.upstream.requests) == 1


def test_an_answer_that_is_stopped_after_a_search_ends_whole() -> None:
    """What had left stays, each item that was added is done, and the last says why it ends."""
    calm = "The valley was quiet and the trains ran on time that day. "
    with world(family="openai-responses", safety={"answers": "scan"}) as w:
        w.upstream.replies["acme/strong"] = calm * 12 + UNSAFE + " " + calm * 6
        answer = ask_with_search(w, stream=True, input=STORY)
    events = [json.loads(data) for _, data in answer.events()]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    for what in ("output_item", "content_part"):
        added, done = (
            [(e["output_index"], e.get("content_index")) for e in events if e["type"] == kind]
            for kind in (f"response.{what}.added", f"response.{what}.done")
        )
        assert added
        assert sorted(added, key=str) == sorted(done, key=str)
    assert events[-1]["type"] == "response.incomplete"
    search, said, refused = events[-1]["response"]["output"]
    assert search["type"] == "web_search_call"
    assert said["content"][0]["text"].startswith(calm)
    assert "neighbour" not in json.dumps(events)
    assert refused["content"][0]["type"] == "refusal"


@pytest.mark.parametrize("kind", ["mcp_call", "code_interpreter_call", "newer_than_this"])
def test_what_a_tool_said_there_is_scanned(kind: str) -> None:
    """In a whole answer, in its item's event, at the stream's end; a picture's bytes are not."""
    item = {"id": "x_1", "type": kind, "status": "completed", "output": {"deep": [UNSAFE]}}
    picture = {"id": "ig_1", "type": "image_generation_call", "result": "QUFBQQ"}
    whole = {"object": "response", "status": "completed", "output": [item, picture]}
    chunks = [
        Chunk(raw=whole),
        Chunk(raw={"type": "response.output_item.done", "output_index": 0, "item": item}),
        Chunk(raw={"type": "response.completed", "response": whole}),
        Chunk(raw={"type": f"response.{kind}.done", "output_index": 0, "code": UNSAFE}),
    ]
    for chunk in chunks:
        texts = [text for _, text in answer_texts(chunk)]
        assert any(UNSAFE in text for text in texts), chunk
        assert not any("QUFBQQ" in text for text in texts)


def test_every_word_of_it_is_read() -> None:
    """A tool that runs elsewhere is described in words that a model will read."""
    with world(family="openai-responses") as w:
        answer = ask_with_search(w, tools=[{**MCP, "server_description": UNSAFE}])
        assert w.upstream.requests == []
    assert answer.status == 200
    assert answer.headers["x-turnout-model"] == "turnout"


def test_what_is_hosted() -> None:
    """Functions of all kinds are not; what is not known is, and is paid for by the call."""
    space = {"type": "namespace", "name": "crm", "tools": [FIND]}
    assert hosted({"input": "Hm?", "tools": [FIND, space, {"type": "tool_search"}]}) == ()
    assert hosted({"input": [{"type": "compaction"}], "tools": [MCP]}) == ("compaction", "mcp")
    assert has_paid_by_call({"tools": [{"type": "newer_than_this"}]})
    assert not has_paid_by_call({"tools": [MCP, FIND, {"type": "computer_use_preview"}]})
    assert is_paid_by_call("code_interpreter_call")
    assert not has_paid_by_call({"tools": [{"type": "text_editor_20250728", "name": "edit"}]})
    assert not has_paid_by_call({"input": [{"type": []}]}), "of chat, where anything may be in it"


@pytest.mark.parametrize("kind", [None, 5, ""])
def test_a_tool_without_a_type_is_none(kind: object) -> None:
    """It is refused at once, by its type."""
    with pytest.raises(InvalidRequest, match="has a tool of type"):
        Responses().read({"input": CODE, "tools": [{"type": kind}]})
