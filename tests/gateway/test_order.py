"""What a model thinks, says and calls in turns keeps its order, in every dialect and both ways."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tests.gateway.test_model_refusals import about_request
from tests.providers.worlds import deployment
from turnout.core import Chunk, Request
from turnout.gateway.dialects import ApiDialect, Chat, Messages, Responses
from turnout.providers.anthropic import AnthropicCodec
from turnout.providers.openai_chat import OpenAIChatCodec
from turnout.providers.responses import ResponsesCodec

MARK = "0123456789ab"
ARGUMENTS = {"city": "Oslo"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
CLAUDES = AnthropicCodec(mark=MARK), "https://api.anthropic.com/v1", "claude-sonnet-4-5"
OPENAIS = ResponsesCodec(mark=MARK), "https://api.openai.com/v1", "gpt-5"
BLOCKS = [
    {"type": "thinking", "thinking": "first", "signature": "s1"},
    {"type": "redacted_thinking", "data": "sealed"},
    {"type": "text", "text": "One moment."},
    {"type": "thinking", "thinking": "then", "signature": "s2"},
    {"type": "tool_use", "id": "toolu_1", "name": "forecast", "input": ARGUMENTS},
]
ITEMS = [
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "first"}],
        "encrypted_content": "e1",
    },
    {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "e2"},
    {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "One moment.", "annotations": []}],
    },
    {
        "type": "reasoning",
        "id": "rs_3",
        "summary": [{"type": "summary_text", "text": "then"}],
        "encrypted_content": "e3",
    },
    {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "toolu_1",
        "name": "forecast",
        "arguments": json.dumps(ARGUMENTS, separators=(",", ":")),
        "status": "completed",
    },
]
DIALECTS = {"chat": Chat(), "messages": Messages(), "responses": Responses()}


def request_body(name: str, *, answer: Any = None, result: str = "") -> dict[str, Any]:
    """A request of this dialect, with an earlier answer and the result of its call."""
    question = {"role": "user", "content": "What is the weather?"}
    function = {"name": "forecast", "parameters": SCHEMA}
    if name == "chat":
        turns = [answer, {"role": "tool", "tool_call_id": "toolu_1", "content": result}]
        tools: list[Any] = [{"type": "function", "function": function}]
        history = [question, *(turns if answer else ())]
        return {"model": "auto", "messages": history, "tools": tools}
    if name == "messages":
        back = {"type": "tool_result", "tool_use_id": "toolu_1", "content": result}
        turns = [
            {"role": "assistant", "content": answer},
            {"role": "user", "content": [back]},
        ]
        tools = [{"name": "forecast", "input_schema": SCHEMA}]
        history = [question, *(turns if answer else ())]
        return {"model": "auto", "max_tokens": 9000, "messages": history, "tools": tools}
    tools = [{"type": "function", **function}]
    back = {"type": "function_call_output", "call_id": "toolu_1", "output": result}
    history = [question, *([*answer, back] if answer else ())]
    return {"model": "auto", "input": history, "tools": tools}


def client_history(name: str, chunks: Sequence[Chunk], *, stream: bool) -> Any:
    """What a client of this dialect puts together and sends back."""
    dialect: ApiDialect = DIALECTS[name]
    facts = about_request(dialect, request_body(name))
    if not stream:
        body = json.loads(dialect.whole(chunks[0], facts))
        return _answer(name, body)
    writer = dialect.writer(facts)
    sent = b"".join([*map(writer.write, chunks), writer.end()]).decode()
    lines = [line[6:] for line in sent.splitlines() if line.startswith("data: {")]
    return _joined_pieces(name, [json.loads(line) for line in lines])


def _answer(name: str, body: Mapping[str, Any]) -> Any:
    if name == "chat":
        return body["choices"][0]["message"]
    return body["content"] if name == "messages" else body["output"]


def _joined_pieces(name: str, events: Sequence[Mapping[str, Any]]) -> Any:
    """As the clients do: by index where there is one, pieces of text in their order."""
    if name == "responses":
        return [e["item"] for e in events if e["type"] == "response.output_item.done"]
    if name == "messages":
        return _blocks(events)
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    message: dict[str, Any] = {"role": "assistant"}
    for field in ("content", "reasoning_content", "reasoning_signature"):
        message[field] = "".join(delta.get(field) or "" for delta in deltas)
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    arguments = "".join(call["function"]["arguments"] for call in calls)
    function = {"name": calls[0]["function"]["name"], "arguments": arguments}
    message["tool_calls"] = [{"id": calls[0]["id"], "type": "function", "function": function}]
    return message


def _blocks(events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for event in events:
        if event["type"] == "content_block_start":
            blocks.append({**event["content_block"], "partial": ""})
        delta = event.get("delta") or {}
        match delta.get("type"):
            case "thinking_delta":
                blocks[-1]["thinking"] += delta["thinking"]
            case "signature_delta":
                assert not blocks[-1]["signature"], "clients keep the last signature alone"
                blocks[-1]["signature"] = delta["signature"]
            case "text_delta":
                blocks[-1]["text"] += delta["text"]
            case "input_json_delta":
                blocks[-1]["partial"] += delta["partial_json"]
    return [_with_parsed_input(block) for block in blocks]


def _with_parsed_input(block: dict[str, Any]) -> dict[str, Any]:
    partial = block.pop("partial")
    return {**block, "input": json.loads(partial)} if block["type"] == "tool_use" else block


def events_of_claude(blocks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The events that tell of these blocks."""
    head = {"id": "m", "type": "message", "role": "assistant", "model": "claude", "content": []}
    found: list[dict[str, Any]] = [{"type": "message_start", "message": {**head, "usage": {}}}]
    for index, block in enumerate(blocks):
        pieces: list[dict[str, Any]] = []
        start = dict(block)
        if block["type"] == "text":
            start, pieces = {"type": "text", "text": ""}, [{"type": "text_delta", **block}]
        elif block["type"] == "thinking":
            start = {"type": "thinking", "thinking": "", "signature": ""}
            pieces = [{**block, "type": f"{name}_delta"} for name in ("thinking", "signature")]
        elif block["type"] == "tool_use":
            start = {**block, "input": {}}
            pieces = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
        found.append({"type": "content_block_start", "index": index, "content_block": start})
        for piece in pieces:
            delta = {**piece, "type": block_delta(piece)}
            found.append({"type": "content_block_delta", "index": index, "delta": delta})
        found.append({"type": "content_block_stop", "index": index})
    ending = {"stop_reason": "tool_use", "stop_sequence": None}
    found.append({"type": "message_delta", "delta": ending, "usage": {"output_tokens": 1}})
    return [*found, {"type": "message_stop"}]


def block_delta(piece: Mapping[str, Any]) -> str:
    """What a piece is called."""
    return str(piece["type"]) if str(piece["type"]).endswith("_delta") else "text_delta"


def events_of_openai(items: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The events that tell of these items, each as a whole."""
    head = {"id": "resp_1", "object": "response", "model": "gpt-5", "output": []}
    found: list[dict[str, Any]] = [{"type": "response.created", "response": head}]
    for index, item in enumerate(items):
        for what in ("added", "done"):
            kind = f"response.output_item.{what}"
            found.append({"type": kind, "output_index": index, "item": dict(item)})
    response = {**head, "status": "completed", "output": [dict(item) for item in items]}
    return [*found, {"type": "response.completed", "response": response}]


def chunks_of(codec: Any, *, stream: bool) -> list[Chunk]:
    """The model's answer as its codec reads it."""
    claude = isinstance(codec, AnthropicCodec)
    if stream:
        events = events_of_claude(BLOCKS) if claude else events_of_openai(ITEMS)
        data = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)
        found = list(codec.decoder().feed(data.encode()))
    else:
        body: dict[str, Any] = {"model": "m", "id": "x"}
        if claude:
            body |= {"type": "message", "content": BLOCKS, "stop_reason": "tool_use"}
        else:
            body |= {"object": "response", "status": "completed", "output": ITEMS}
        found = [codec.decode(json.dumps(body).encode())]
    assert all(isinstance(chunk, Chunk) for chunk in found), found
    return found


def next_provider_body(name: str, where: tuple[Any, str, str], answer: Any) -> dict[str, Any]:
    """What the model gets of the next request, in which its answer comes back."""
    codec, base_url, model = where
    inbound = DIALECTS[name].read(request_body(name, answer=answer, result="sunny"))
    request = Request(
        id="r", body=inbound.body, native=inbound.native, dialect=DIALECTS[name].name, model="auto"
    )
    wire = codec.encode(request, deployment(base_url, model), stream=False)
    body: dict[str, Any] = json.loads(wire.body)
    return body


def without_ids(items: Sequence[Mapping[str, Any]]) -> list[Any]:
    """What items say, without what only says where they are from."""
    found = []
    for item in items:
        content = {k: v for k, v in item.items() if k not in ("id", "status", "role")}
        if content.get("type") == "message" and not isinstance(content["content"], str):
            content["content"] = "".join(part["text"] for part in content["content"])
        found.append(content)
    return found


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["chat", "responses"])
def test_claudes_thoughts_go_back_where_they_stood(name: str, *, stream: bool) -> None:
    """Redacted ones too, between what was said and called, as Anthropic's API wants them."""
    answer = client_history(name, chunks_of(CLAUDES[0], stream=stream), stream=stream)
    body = next_provider_body(name, CLAUDES, answer)
    assert body["messages"][1] == {"role": "assistant", "content": BLOCKS}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["chat", "messages"])
def test_openais_thoughts_go_back_where_they_stood(name: str, *, stream: bool) -> None:
    """Each is an item of its own, in the order in which they came."""
    answer = client_history(name, chunks_of(OPENAIS[0], stream=stream), stream=stream)
    found = without_ids(next_provider_body(name, OPENAIS, answer)["input"])[1:-1]
    assert found == without_ids(
        [{**i, "content": "One moment."} if "content" in i else i for i in ITEMS]
    )


@pytest.mark.parametrize("where", [CLAUDES, OPENAIS], ids=["claude", "openai"])
@pytest.mark.parametrize("name", DIALECTS)
def test_another_model_gets_neither_thoughts_nor_marks(
    name: str, where: tuple[Any, str, str]
) -> None:
    """What was said and called arrives, once."""
    answer = client_history(name, chunks_of(where[0], stream=True), stream=True)
    other = OpenAIChatCodec(mark="f" * 12), "https://api.openai.com/v1", "gpt-4.1"
    _, said, result = next_provider_body(name, other, answer)["messages"]
    call = {"name": "forecast", "arguments": said["tool_calls"][0]["function"]["arguments"]}
    assert json.loads(call["arguments"]) == ARGUMENTS
    tool_call = {"id": "toolu_1", "type": "function", "function": call}
    assert said == {"role": "assistant", "content": "One moment.", "tool_calls": [tool_call]}
    assert result == {"role": "tool", "tool_call_id": "toolu_1", "content": "sunny"}


def test_an_item_is_done_before_another_begins() -> None:
    """As at OpenAI: clients join an item's pieces by where they stand in the stream."""
    facts = about_request(Responses(), request_body("responses"))
    writer = Responses().writer(facts)
    chunks = chunks_of(CLAUDES[0], stream=True)
    sent = b"".join([*map(writer.write, chunks), writer.end()]).decode()
    events = [json.loads(line[6:]) for line in sent.splitlines() if line.startswith("data: ")]
    items = [
        (event["type"].rpartition(".")[2], event["item"]["type"])
        for event in events
        if event["type"].startswith("response.output_item.")
    ]
    kinds = ["reasoning", "message", "reasoning", "function_call"]
    assert items == [(what, kind) for kind in kinds for what in ("added", "done")]
    assert [e["item"] for e in events if e["type"].endswith("item.done")] == events[-1]["response"][
        "output"
    ]


@pytest.mark.parametrize("name", DIALECTS)
def test_a_whole_answer_says_what_its_stream_says(name: str) -> None:
    """Nothing more, and in the same order."""
    whole, streamed = (
        client_history(name, chunks_of(OPENAIS[0], stream=stream), stream=stream)
        for stream in (False, True)
    )
    if name == "chat":
        assert all(whole[field] == streamed[field] for field in streamed)
        assert "index" not in whole["tool_calls"][0], "only pieces are numbered"
    else:
        assert whole == streamed


def test_pages_that_a_chat_model_cites_reach_responses() -> None:
    """As annotations of the text, whole and streamed."""
    page = {"start_index": 0, "end_index": 4, "title": "Rails", "url": "https://example.org/"}
    told_in_chat = [{"type": "url_citation", "url_citation": page}]
    answer = {"role": "assistant", "content": "Yes.", "annotations": told_in_chat}
    codec, facts = OpenAIChatCodec(), about_request(Responses(), request_body("responses"))
    choice = {"index": 0, "message": answer, "finish_reason": "stop"}
    whole = codec.decode(json.dumps({"choices": [choice]}).encode())
    assert isinstance(whole, Chunk)
    part = json.loads(Responses().whole(whole, facts))["output"][0]["content"][0]
    assert part["annotations"] == [{"type": "url_citation", **page}]
    writer, decoder, sent = Responses().writer(facts), codec.decoder(), b""
    pieces: list[tuple[dict[str, Any], str | None]] = [
        ({"content": "Yes."}, None),
        ({"annotations": told_in_chat}, None),
        ({}, "stop"),
    ]
    for delta, finish in pieces:
        event = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        for chunk in decoder.feed(b"data: %b\n\n" % json.dumps(event).encode()):
            assert isinstance(chunk, Chunk)
            sent += writer.write(chunk)
    sent += writer.end()
    events = [json.loads(line[6:]) for line in sent.decode().splitlines() if line[:6] == "data: "]
    added = [e for e in events if e["type"] == "response.output_text.annotation.added"]
    assert [(e["annotation_index"], e["annotation"]) for e in added] == [
        (0, part["annotations"][0])
    ]
    assert writer.snapshot()["output"][0]["content"] == [part]
