"""The pages that an answer cites reach every dialect that has a form for them."""

import json
from typing import Any

import pytest

from tests.gateway.test_model_refusals import about_request
from turnout.core import Chunk
from turnout.gateway.dialects import Chat, Responses
from turnout.providers.anthropic import AnthropicCodec
from turnout.providers.openai_chat import OpenAIChatCodec
from turnout.providers.protocol import Codec
from turnout.providers.responses import ResponsesCodec
from turnout.providers.whole_answer import whole_answer
from turnout.runtime import completion

FIRST, SECOND = "Trains run.", "They run late."
PAGE: dict[str, Any] = {"url": "https://example.org/", "title": "Rails"}
CITED = {"type": "web_search_result_location", **PAGE, "cited_text": "late", "encrypted_index": "e"}
OTHER = {"type": "char_location", "cited_text": "late", "document_index": 0}
BLOCKS = [
    {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "trains"}},
    {"type": "text", "text": FIRST},
    {"type": "text", "text": SECOND, "citations": [OTHER, CITED]},
    {"type": "text", "text": " So be it."},
]
# A place counts from the beginning of its part.
OF_PART = {"type": "url_citation", **PAGE, "start_index": 0, "end_index": len(SECOND)}
NO_PAGE = {"type": "file_citation", "file_id": "f", "filename": "n", "index": 0}
ITEMS: list[dict[str, Any]] = [
    {"type": "message", "id": "m1", "content": [{"type": "output_text", "text": FIRST}]},
    {
        "type": "message",
        "id": "m2",
        "content": [
            {"type": "output_text", "text": "Yes. "},
            {"type": "output_text", "text": SECOND, "annotations": [NO_PAGE, OF_PART]},
        ],
    },
]
# What each of these answers says before the second text, which it cites.
SAID_BEFORE = {"chat": FIRST, "messages": FIRST, "responses": f"{FIRST}\n\nYes. "}


def annotation(name: str) -> dict[str, Any]:
    """What a caller of chat gets from a provider that speaks this API."""
    start = len(SAID_BEFORE[name])
    page = {**PAGE, "start_index": start, "end_index": start + len(SECOND)}
    return {"type": "url_citation", "url_citation": page}


def in_chat() -> tuple[Codec, Any, list[Any]]:
    """A provider's codec, its whole answer and the events of the same answer."""
    cited = {"annotations": [annotation("chat"), {"type": "other"}]}
    message = {"role": "assistant", "content": FIRST + SECOND, **cited}
    choices: list[dict[str, Any]] = [
        {"delta": {"content": FIRST + SECOND}},
        {"delta": cited},
        {"delta": {}, "finish_reason": "stop"},
    ]
    events: list[Any] = [{"choices": [{"index": 0, **choice}]} for choice in choices]
    whole = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    return OpenAIChatCodec(), whole, events


def in_messages() -> tuple[Codec, Any, list[Any]]:
    """The same for Anthropic, which cites before it writes."""
    events: list[Any] = [{"type": "message_start", "message": {}}]
    for index, block in enumerate(BLOCKS):
        at = {"index": index}
        head = {name: "" if name == "text" else value for name, value in block.items()}
        head.pop("citations", None)
        events.append({"type": "content_block_start", **at, "content_block": head})
        deltas = [{"type": "citations_delta", "citation": c} for c in block.get("citations", ())]
        if "text" in block:
            deltas.append({"type": "text_delta", "text": block["text"]})
        events += [{"type": "content_block_delta", **at, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", **at})
    events += [
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}},
        {"type": "message_stop"},
    ]
    return (
        AnthropicCodec(),
        {"type": "message", "content": BLOCKS, "stop_reason": "end_turn"},
        events,
    )


def in_responses() -> tuple[Codec, Any, list[Any]]:
    """The same for OpenAI's Responses, in two messages."""
    events: list[Any] = []
    for index, item in enumerate(ITEMS):
        at = {"output_index": index}
        events.append({"type": "response.output_item.added", **at, "item": {**item, "content": []}})
        for place, part in enumerate(item["content"]):
            piece = {"type": "response.output_text.delta", **at, "content_index": place}
            events.append({**piece, "delta": part["text"]})
        events.append({"type": "response.output_item.done", **at, "item": item})
    whole = {"object": "response", "status": "completed", "output": ITEMS}
    return ResponsesCodec(), whole, [*events, {"type": "response.completed", "response": whole}]


PROVIDERS = {"chat": in_chat, "messages": in_messages, "responses": in_responses}


def chunks_of(name: str, *, stream: bool) -> list[Chunk]:
    """The chunks of the provider's answer."""
    codec, whole, events = PROVIDERS[name]()
    if not stream:
        chunk = codec.decode(json.dumps(whole).encode())
        assert isinstance(chunk, Chunk)
        return [chunk]
    decoder = codec.decoder()
    data = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)
    chunks = [*decoder.feed(data), *decoder.feed(b"data: [DONE]\n\n")]
    assert all(isinstance(chunk, Chunk) for chunk in chunks), chunks
    return [chunk for chunk in chunks if isinstance(chunk, Chunk)]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", PROVIDERS)
def test_pages_reach_chat(name: str, *, stream: bool) -> None:
    """As annotations of the text, at the place of what cites them."""
    facts = about_request(Chat(), {"messages": [{"role": "user", "content": "Do trains run?"}]})
    chunks = chunks_of(name, stream=stream)
    if stream:
        writer = Chat().writer(facts)
        lines = b"".join(map(writer.write, chunks)).decode().splitlines()
        body = whole_answer(json.loads(line[6:]) for line in lines if line)
    else:
        body = completion(chunks[0], facts.decision, "m", 0)
    message = body["choices"][0]["message"]
    assert message["annotations"][0] == annotation(name)
    assert len(message["annotations"]) == (2 if name == "chat" else 1)
    page = message["annotations"][0]["url_citation"]
    assert message["content"][page["start_index"] : page["end_index"]] == SECOND


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", ["chat", "messages"])
def test_pages_reach_responses(name: str, *, stream: bool) -> None:
    """With an event for each in a stream."""
    facts = about_request(Responses(), {"input": "Do trains run?"})
    page = annotation(name)["url_citation"]
    wanted = [{"type": "url_citation", **page}]
    chunks = chunks_of(name, stream=stream)
    if stream:
        writer = Responses().writer(facts)
        lines = b"".join([*map(writer.write, chunks), writer.end()]).decode().splitlines()
        events = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
        added = [e for e in events if e["type"] == "response.output_text.annotation.added"]
        assert [(e["annotation_index"], e["annotation"]) for e in added] == [(0, wanted[0])]
        body = events[-1]["response"]
    else:
        body = json.loads(Responses().whole(chunks[0], facts))
    assert body["output"][0]["content"][0]["annotations"] == wanted


def test_pieces_of_every_kind_are_joined() -> None:
    """Signatures too, and thoughts in parts before a text, as Mistral's models write them."""
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Trains?"}]}
    deltas: list[dict[str, Any]] = [
        {"content": ""},
        {"content": [thought]},
        {"content": [{"type": "text", "text": "Yes"}]},
        {"content": "."},
        {"reasoning_signature": "a"},
        {"reasoning_signature": "b"},
    ]
    pieces = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    message = whole_answer(pieces)["choices"][0]["message"]
    texts = [{"type": "text", "text": text} for text in ("Yes", ".")]
    assert message["content"] == [thought, *texts]
    assert message["reasoning_signature"] == "ab"
