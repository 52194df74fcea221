"""Every client dialect reaches every provider family, and nothing is lost on the way."""

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.gateway.world import Answer, World, world

SCHEMA_A = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
}
SCHEMA_B = {
    "type": "object",
    "properties": {"share": {"type": "number"}, "tags": {"type": "array"}},
}
ARGUMENTS = {"forecast": {"city": "n7", "days": 1}, "split": {"share": 0.5, "tags": ["n7"]}}
PIXEL = base64.b64encode(b"\x89PNG not really").decode()
QUESTION = "Tell me something, nonce: n7"
FEATURES = ["text", "tools", "parallel", "reasoning", "json", "vision"]
DIALECTS = ["chat", "messages", "responses"]
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}


def body_of(dialect: str, feature: str) -> dict[str, Any]:
    """A request of this dialect that uses the feature."""
    body: dict[str, Any] = {"model": "coder"}
    if dialect == "responses":
        part = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"}
        text = {"type": "input_text", "text": QUESTION}
        body["input"] = (
            [{"role": "user", "content": [part, text]}] if feature == "vision" else QUESTION
        )
    elif dialect == "messages":
        source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
        content: Any = QUESTION
        if feature == "vision":
            content = [{"type": "image", "source": source}, {"type": "text", "text": QUESTION}]
        body |= {"max_tokens": 4000, "messages": [{"role": "user", "content": content}]}
    else:
        image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
        content = QUESTION
        if feature == "vision":
            content = [image, {"type": "text", "text": QUESTION}]
        body["messages"] = [{"role": "user", "content": content}]
    return body | _extras(dialect, feature)


def _extras(dialect: str, feature: str) -> dict[str, Any]:
    if feature in ("tools", "parallel"):
        schemas = {"forecast": SCHEMA_A, "split": SCHEMA_B}
        if dialect == "messages":
            return {"tools": [{"name": n, "input_schema": s} for n, s in schemas.items()]}
        if dialect == "responses":
            return {
                "tools": [
                    {"type": "function", "name": n, "parameters": s} for n, s in schemas.items()
                ]
            }
        functions = [{"name": n, "parameters": s} for n, s in schemas.items()]
        return {"tools": [{"type": "function", "function": f} for f in functions]}
    if feature == "reasoning":
        return {
            "chat": {"reasoning_effort": "low", "max_tokens": 4000},
            "messages": {"thinking": {"type": "enabled", "budget_tokens": 2000}},
            "responses": {"reasoning": {"effort": "low"}},
        }[dialect]
    if feature == "json":
        shape = {"type": "json_schema", "schema": SCHEMA_A}
        return {
            "chat": {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "schema": SCHEMA_A},
                }
            },
            "messages": {"output_config": {"format": shape}},
            "responses": {"text": {"format": {**shape, "name": "x"}}},
        }[dialect]
    return {}


def parsed_answer(dialect: str, answer: Answer) -> dict[str, Any]:
    """Text, reasoning, calls (name → arguments) and ids of a whole or streamed answer."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        return {"chat": _chat_stream, "messages": _messages_stream, "responses": _last_response}[
            dialect
        ](answer)
    body = answer.json()
    if dialect == "chat":
        return _chat_message(body["choices"][0]["message"])
    return _message(body) if dialect == "messages" else _response(body)


def _chat_message(message: Mapping[str, Any]) -> dict[str, Any]:
    calls = {
        c["function"]["name"]: c["function"]["arguments"] for c in message.get("tool_calls", ())
    }
    return {
        "text": message.get("content") or "",
        "reasoning": message.get("reasoning_content") or "",
        "calls": {name: json.loads(arguments) for name, arguments in calls.items()},
        "ids": [c["id"] for c in message.get("tool_calls", ())],
    }


def _chat_stream(answer: Answer) -> dict[str, Any]:
    whole: dict[str, Any] = {"content": "", "reasoning_content": "", "tool_calls": []}
    assert answer.events()[-1][1] == "[DONE]"
    chunks = [json.loads(data) for _, data in answer.events()[:-1]]
    assert len({chunk["id"] for chunk in chunks}) == 1  # as OpenAI's have
    for chunk in chunks:
        for choice in chunk["choices"]:
            delta = choice["delta"]
            whole["content"] += delta.get("content") or ""
            whole["reasoning_content"] += delta.get("reasoning_content") or ""
            for piece in delta.get("tool_calls", ()):
                if piece.get("id"):
                    whole["tool_calls"].append({"id": piece["id"], "function": piece["function"]})
                    continue
                call = whole["tool_calls"][piece["index"]]["function"]
                call["arguments"] += piece["function"]["arguments"]
    return _chat_message(whole)


def _message(body: Mapping[str, Any]) -> dict[str, Any]:
    of = {kind: [b for b in body["content"] if b["type"] == kind] for kind in ("text", "tool_use")}
    return {
        "text": "".join(b["text"] for b in of["text"]),
        "reasoning": "".join(b.get("thinking", "") for b in body["content"]),
        "calls": {b["name"]: b["input"] for b in of["tool_use"]},
        "ids": [b["id"] for b in of["tool_use"]],
    }


def _messages_stream(answer: Answer) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = []
    names = [name for name, _ in answer.events()]
    assert names[0] == "message_start"
    assert names[-1] == "message_stop"
    for _, data in answer.events():
        event = json.loads(data)
        if event["type"] == "content_block_start":
            assert event["index"] == len(blocks)
            blocks.append({**event["content_block"], "json": ""})
        elif event["type"] == "content_block_delta":
            delta, block = event["delta"], blocks[event["index"]]
            for field in ("text", "thinking"):
                block[field] = block.get(field, "") + delta.get(field, "")
            block["json"] += delta.get("partial_json", "")
    for block in blocks:
        if block["type"] == "tool_use":
            block["input"] = json.loads(block["json"])
    return _message({"content": [{**b, "type": b["type"]} for b in blocks]})


def _response(body: Mapping[str, Any]) -> dict[str, Any]:
    of = {t: [i for i in body["output"] if i["type"] == t] for t in ("message", "function_call")}
    return {
        "text": "".join(p["text"] for item in of["message"] for p in item["content"]),
        "reasoning": "".join(
            s["text"] for i in body["output"] if i["type"] == "reasoning" for s in i["summary"]
        ),
        "calls": {i["name"]: json.loads(i["arguments"]) for i in of["function_call"]},
        "ids": [i["call_id"] for i in of["function_call"]],
    }


def _last_response(answer: Answer) -> dict[str, Any]:
    """The final object, which must be what the deltas added up to."""
    name, data = answer.events()[-1]
    assert name == "response.completed"
    events = [json.loads(data) for _, data in answer.events()]
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    found = _response(json.loads(data)["response"])
    told = "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta")
    assert told == found["text"]
    pieces = "".join(
        e["delta"] for e in events if e["type"] == "response.function_call_arguments.delta"
    )
    assert all(json.dumps(v) in pieces or str(v) for v in found["calls"].values())
    return found


@pytest.fixture(scope="module", params=["openai", "openai-responses", "anthropic"])
def served(request: pytest.FixtureRequest) -> Iterator[World]:
    """A gateway whose models live at a provider of one family."""
    with world(family=request.param, modalities=["text", "image"]) as w:
        yield w


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_is_lost(served: World, dialect: str, feature: str, *, stream: bool) -> None:
    """Text, arguments of each call, reasoning and images arrive as they were sent."""
    served.upstream.scripts["acme/coder"] = "f-parallel" if feature == "parallel" else "honest"
    answer = served.post(PATHS[dialect], {**body_of(dialect, feature), "stream": stream})
    assert answer.status == 200, answer.body
    said = parsed_answer(dialect, answer)
    sent = served.sent()
    if feature == "tools":
        assert said["calls"] == {"forecast": ARGUMENTS["forecast"]}
        assert said["ids"] == ["call_n7"]
    elif feature == "parallel":
        assert said["calls"] == ARGUMENTS
        assert said["ids"] == ["call_n7", "call_n7_1"]
    elif feature == "json":
        assert json.loads(said["text"]) == ARGUMENTS["forecast"]
    else:
        assert "answers n7:" in said["text"]
    assert bool(said["reasoning"]) == (feature == "reasoning")
    if feature == "vision":
        assert PIXEL in json.dumps(sent)


def _tool_loop_request(dialect: str, ids: list[str]) -> dict[str, Any]:
    """The next request of a tool loop: both calls and both results go back."""
    body = body_of(dialect, "parallel")
    names = list(ARGUMENTS)
    if dialect == "messages":
        calls = [
            {"type": "tool_use", "id": i, "name": n, "input": ARGUMENTS[n]}
            for i, n in zip(ids, names, strict=True)
        ]
        results = [{"type": "tool_result", "tool_use_id": i, "content": "fine"} for i in ids]
        body["messages"] += [
            {"role": "assistant", "content": calls},
            {"role": "user", "content": results},
        ]
    elif dialect == "chat":
        functions = [{"name": n, "arguments": json.dumps(ARGUMENTS[n])} for n in names]
        calls = [
            {"id": i, "type": "function", "function": f}
            for i, f in zip(ids, functions, strict=True)
        ]
        body["messages"] += [
            {"role": "assistant", "content": None, "tool_calls": calls},
            *({"role": "tool", "tool_call_id": i, "content": "fine"} for i in ids),
        ]
    else:
        body["input"] = [
            {"role": "user", "content": QUESTION},
            *(
                {"type": "function_call", "call_id": i, "name": n, "arguments": "{}"}
                for i, n in zip(ids, names, strict=True)
            ),
            *({"type": "function_call_output", "call_id": i, "output": "fine"} for i in ids),
        ]
    return body


@pytest.mark.parametrize("dialect", DIALECTS)
def test_tool_ids_of_any_form_stay_with_their_results(served: World, dialect: str) -> None:
    """Ids that a provider would refuse are replaced alike in the call and in its result."""
    ids = ["functions.forecast:0|" + "x" * 60, "call ü"]
    answer = served.post(PATHS[dialect], _tool_loop_request(dialect, ids))
    assert answer.status == 200, answer.body
    sent = served.sent()
    called, returned = _ids_sent(sent.get("messages") or sent["input"])
    assert called == returned
    assert len(set(called)) == 2
    assert all(len(i) <= 40 and i.replace("_", "").isalnum() and i.isascii() for i in called)


def _ids_sent(messages: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    called: list[str] = []
    returned: list[str] = []
    for message in messages:
        called += [message["call_id"]] if message.get("type") == "function_call" else []
        if message.get("type") == "function_call_output":
            returned.append(message["call_id"])
        called += [c["id"] for c in message.get("tool_calls") or ()]
        returned += [message["tool_call_id"]] if message.get("role") == "tool" else []
        content = message.get("content")
        for block in content if isinstance(content, list) else ():
            called += [block["id"]] if block["type"] == "tool_use" else []
            returned += [block["tool_use_id"]] if block["type"] == "tool_result" else []
    return called, returned


QUESTION_ITEM = {"role": "user", "content": "Think, nonce: n7"}


def _thinking_answer(w: World, model: str) -> dict[str, Any]:
    body = body_of("messages", "reasoning") | {"model": model}
    return dict(w.post(PATHS["messages"], body).json())


@pytest.mark.parametrize(("next_model", "kept"), [("coder", True), ("strong", False)])
def test_thoughts_go_back_only_to_the_model_that_signed_them(
    next_model: str, *, kept: bool
) -> None:
    """A conversation that changes its model goes on; the other model never sees the signature."""
    with world(family="anthropic") as w:
        first = _thinking_answer(w, "coder")
        assert first["content"][0]["type"] == "thinking"
        body = body_of("messages", "reasoning") | {"model": next_model}
        body["messages"] += [
            {"role": "assistant", "content": first["content"]},
            {"role": "user", "content": "go on, nonce: n8"},
        ]
        answer = w.post(PATHS["messages"], body)
        assert answer.status == 200, answer.body
        sent = w.sent()["messages"][1]["content"]
    assert [b["type"] for b in sent] == (["thinking", "text"] if kept else ["text"])
    if kept:
        assert sent[0]["signature"] == "signed+by+acme/coder=="


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("next_model", "kept"), [("coder", True), ("strong", False)])
def test_thoughts_of_responses_go_back_as_well(
    next_model: str, *, kept: bool, stream: bool
) -> None:
    """Their item carries the signature, and what it led to follows it."""
    with world(family="anthropic") as w:
        asked = body_of("responses", "reasoning") | {"model": "coder", "stream": stream}
        answer = w.post(PATHS["responses"], asked)
        events = answer.events()
        first = json.loads(events[-1][1])["response"] if stream else answer.json()
        assert [item["type"] for item in first["output"]] == ["reasoning", "message"]
        more = [*first["output"], {"role": "user", "content": "go on, nonce: n8"}]
        body = asked | {"model": next_model, "input": [QUESTION_ITEM, *more], "stream": False}
        assert w.post(PATHS["responses"], body).status == 200
        sent = w.sent()["messages"][1]["content"]
    assert [b["type"] for b in sent] == (["thinking", "text"] if kept else ["text"])
    if kept:
        assert sent[0]["signature"] == "signed+by+acme/coder=="
