"""OpenAI's Responses as a provider: what it is sent, and every way its answers come and break."""

import json
from typing import Any

import pytest

from tests.providers.worlds import deployment
from turnout.core import Chunk, Fault, InvalidRequest, Request, Usage
from turnout.gateway.dialects import Messages, Responses
from turnout.providers.responses import ResponsesCodec
from turnout.testing import RecordedAnswer, check_codec

URL = "https://api.openai.com/v1"
MARK = "0123456789ab"
CODEC = ResponsesCodec(mark=MARK)
QUESTION = {"role": "user", "content": "Which is the longest river?"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "find", "description": "Finds.", "parameters": SCHEMA}
CALL = {"id": "c1", "type": "function", "function": {"name": "find", "arguments": "{}"}}


def sent(body: dict[str, Any], there: str = "gpt-4.1", **more: Any) -> dict[str, Any]:
    """What the provider gets of a chat body."""
    asked = Request(id="r", body={"messages": [QUESTION], **body}, **more)
    return dict(json.loads(CODEC.encode(asked, deployment(URL, there), stream=False).body))


def passed(native: dict[str, Any], there: str = "gpt-4.1", **more: Any) -> dict[str, Any]:
    """What it gets of a Responses body."""
    inbound = Responses().read({"input": "Hm?", **native})
    asked = {"model": "auto", "dialect": "responses", "native": inbound.native, **more}
    return sent(dict(inbound.body), there, **asked)


def test_settings_of_chat_that_it_lacks_are_left_out() -> None:
    """A client that sends them with every request is not refused."""
    tuning = {"seed": 7, "frequency_penalty": 0.5, "presence_penalty": 0}
    request = Request(id="r", body={"messages": [QUESTION], **tuning})
    asked = CODEC.encode(request, deployment(URL, "gpt-4.1"), stream=False)
    assert not tuning.keys() & json.loads(asked.body).keys()
    assert set(asked.lost_fields) == {"seed", "frequency_penalty"}


def test_messages_of_one_answer_are_paragraphs() -> None:
    """A model may say what it is about to do before it says the rest; whole and streamed alike."""
    parts = ("Let me see.", "It is 4.")
    output = [
        {
            "type": "message",
            "id": f"m{index}",
            "role": "assistant",
            "content": [{"type": "output_text", "text": text}],
        }
        for index, text in enumerate(parts)
    ]
    response = {"id": "r", "status": "completed", "output": output}
    whole = ResponsesCodec().decode(json.dumps(response).encode())
    assert isinstance(whole, Chunk)
    events: list[dict[str, Any]] = []
    for index, text in enumerate(parts):
        item = {**output[index], "content": []}
        events.append({"type": "response.output_item.added", "output_index": index, "item": item})
        events += [
            {"type": "response.output_text.delta", "output_index": index, "delta": piece}
            for piece in (text[:3], text[3:])
        ]
        events.append(
            {"type": "response.output_item.done", "output_index": index, "item": output[index]}
        )
    events.append({"type": "response.completed", "response": response})
    data = b"".join(b"data: %b\n\n" % json.dumps(event).encode() for event in events)
    for found in ([whole], list(ResponsesCodec().decoder().feed(data))):
        deltas = [d for chunk in found if isinstance(chunk, Chunk) for d in chunk.deltas]
        assert "".join(delta.text for delta in deltas) == "Let me see.\n\nIt is 4."


def test_a_chat_body_in_its_words() -> None:
    """The cap, the format, tools and their choice stand elsewhere; unknown fields pass."""
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}
    body = sent(
        {
            "max_tokens": 50,
            "temperature": 0.2,
            "user": "u" * 65,
            "store": True,
            "metadata": {"team": "legal"},
            "response_format": schema,
            "verbosity": "low",
            "tools": [{"type": "function", "function": FUNCTION}],
            "tool_choice": {"type": "function", "function": {"name": "find"}},
            "parallel_tool_calls": False,
            "something_new": [1],
        }
    )
    assert body["max_output_tokens"] == 50
    assert body["text"] == {
        "format": {"type": "json_schema", "name": "a", "schema": SCHEMA, "strict": True},
        "verbosity": "low",
    }
    assert body["tools"] == [{"type": "function", **FUNCTION, "strict": False}]
    assert body["tool_choice"] == {"type": "function", "name": "find"}
    assert (body["store"], body["something_new"], len(body["user"])) == (False, [1], 64)
    assert body["parallel_tool_calls"] is False
    assert not {"messages", "max_tokens", "metadata", "reasoning", "include"} & body.keys()


def test_what_was_said_before_are_items() -> None:
    """Instructions where they stand, parts of every kind, calls, results and refusals."""
    parts = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": "https://h/a.png", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;,x"}},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
    ]
    body = sent(
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": parts},
                {"role": "assistant", "content": "I look.", "tool_calls": [CALL]},
                {"role": "tool", "tool_call_id": "c1", "content": parts[:2]},
                {"role": "assistant", "content": None, "refusal": "No."},
                {"role": "developer", "content": "Now briefer."},
            ]
        }
    )
    picture = {"type": "input_image", "image_url": "https://h/a.png", "detail": "low"}
    shown = [{"type": "input_text", "text": "Look"}, picture]
    assert body["input"] == [
        {"type": "message", "role": "system", "content": "Be brief."},
        {
            "type": "message",
            "role": "user",
            "content": [*shown, {"type": "input_file", **parts[2]["file"]}, parts[3]],
        },
        {"type": "message", "role": "assistant", "content": "I look."},
        {"type": "function_call", "call_id": "c1", "name": "find", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": shown},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "refusal", "refusal": "No."}],
        },
        {"type": "message", "role": "developer", "content": "Now briefer."},
    ]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"n": 2}, "n"),
        ({"stop": ["END"]}, "stop"),
        ({"logprobs": True}, "logprobs"),
        ({"max_tokens": 9}, "max_tokens"),
        ({"functions": [FUNCTION]}, "functions"),
        ({"tools": [{"type": "custom", "custom": {"name": "grep"}}]}, "tools"),
        ({"messages": [QUESTION, {"role": "user", "content": [{"type": "video"}]}]}, "messages"),
    ],
)
def test_what_it_has_no_word_for_is_for_another_model(more: dict[str, Any], field: str) -> None:
    """Refused by name before it is asked, so that the next model can be."""
    with pytest.raises(InvalidRequest) as refused:
        sent(more)
    assert refused.value.field == field


@pytest.mark.parametrize("more", [{"n": 1}, {"stop": []}, {"logprobs": False}, {"stop": None}])
def test_what_asks_for_nothing_is_left_out(more: dict[str, Any]) -> None:
    """Such as one choice."""
    assert not more.keys() & sent(more).keys()


@pytest.mark.parametrize(
    ("model", "effort", "reasoning", "encrypts"),
    [
        ("gpt-4.1", None, None, False),
        ("gpt-5-chat-latest", None, None, False),
        ("gpt-5-codex", None, None, True),
        ("openai/o3-pro", None, None, True),
        ("codex-mini-latest", None, None, True),
        ("gpt-4.1", "low", {"effort": "low", "summary": "auto"}, True),
        ("gpt-5.1", "none", {"effort": "none"}, True),
    ],
)
def test_thoughts_are_asked_for_where_there_are_any(
    model: str, effort: str | None, reasoning: Any, *, encrypts: bool
) -> None:
    """Others refuse to encrypt what they do not have."""
    body = sent({"reasoning_effort": effort} if effort else {}, model)
    assert body.get("reasoning") == reasoning
    assert body.get("include") == (["reasoning.encrypted_content"] if encrypts else None)


def test_what_a_model_was_found_not_to_take_is_not_added() -> None:
    """An account that is not verified gets no summaries."""
    body = sent({"reasoning_effort": "low"}, left_out=frozenset({"summary", "include"}))
    assert body["reasoning"] == {"effort": "low"}
    assert "include" not in body
    native = {"reasoning": {"effort": "low", "summary": "auto"}, "text": {"verbosity": "low"}}
    out = frozenset({"reasoning_effort", "verbosity"})
    told = passed(native, left_out=out)
    assert (told["reasoning"], told["text"]) == ({"summary": "auto"}, {})


def test_tools_of_messages_name_their_properties() -> None:
    """And the line for Anthropic's books goes nowhere else."""
    booked = {"type": "text", "text": "x-anthropic-billing-header: cc_version=1; cch=0;"}
    native = {
        "max_tokens": 50,
        "system": [booked],
        "messages": [QUESTION],
        "tools": [{"name": "look", "input_schema": {"type": "object"}}],
    }
    body = dict(Messages().read(native).body)
    told = sent(body, dialect="messages", native=native)
    assert told["tools"][0]["parameters"] == {"type": "object", "properties": {}}
    assert [item["role"] for item in told["input"]] == ["user"]


THOUGHT = {"type": "summary_text", "text": "First, the Nile."}
SECRETS = ["c2lnbmVk+1/==", "Mnhz"]
REASONING = [
    {"id": "rs_1", "type": "reasoning", "summary": [THOUGHT], "encrypted_content": SECRETS[0]},
    {"id": "rs_2", "type": "reasoning", "summary": [], "encrypted_content": SECRETS[1]},
]
SEARCH = {
    "id": "ws_1",
    "type": "web_search_call",
    "status": "completed",
    "action": {"type": "search", "query": "longest river"},
}
NOTE = {"type": "url_citation", "url": "https://h/", "title": "Rivers", "start_index": 0}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "The Nile.", "annotations": [NOTE]}],
}
CALLED = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "call_1",
    "name": "find",
    "arguments": '{"city": "Cairo"}',
}
OUTPUT = [REASONING[0], SEARCH, REASONING[1], MESSAGE, CALLED]
USAGE = {
    "input_tokens": 36,
    "input_tokens_details": {"cached_tokens": 10},
    "output_tokens": 87,
    "output_tokens_details": {"reasoning_tokens": 60},
    "total_tokens": 123,
}
BILLED = Usage(input=26, cache_read=10, output=27, reasoning=60)


def response(**more: Any) -> dict[str, Any]:
    """A response as OpenAI's documents show one."""
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1741476777,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "gpt-5.1",
        "output": OUTPUT,
        "usage": USAGE,
        **more,
    }


def wire(*events: dict[str, Any]) -> bytes:
    """Events as they are sent."""
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())
        for event in events
    )


def of(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    """An event of an item."""
    return {"type": f"response.{kind}", "output_index": index, **fields}


BEGUN = {"type": "response.created", "response": response(status="in_progress", output=[])}
ENDED = {"type": "response.completed", "response": response()}
ITEMS = [
    of(0, "output_item.added", item={**REASONING[0], "summary": [], "encrypted_content": None}),
    of(0, "reasoning_summary_part.added", summary_index=0, part={**THOUGHT, "text": ""}),
    of(0, "reasoning_summary_text.delta", summary_index=0, delta="First, "),
    of(0, "reasoning_summary_text.delta", summary_index=0, delta="the Nile."),
    of(0, "reasoning_summary_text.done", summary_index=0, text=THOUGHT["text"]),
    of(0, "output_item.done", item=REASONING[0]),
    of(1, "output_item.added", item={**SEARCH, "status": "in_progress"}),
    of(1, "web_search_call.searching", item_id="ws_1"),
    of(1, "output_item.done", item=SEARCH),
    of(2, "output_item.added", item=REASONING[1]),
    of(2, "output_item.done", item=REASONING[1]),
    of(3, "output_item.added", item={**MESSAGE, "content": []}),
    of(3, "output_text.delta", content_index=0, delta="The "),
    of(3, "output_text.delta", content_index=0, delta="Nile."),
    of(3, "output_text.done", content_index=0, text="The Nile."),
    of(3, "output_item.done", item=MESSAGE),
    of(4, "output_item.added", item={**CALLED, "arguments": ""}),
    of(4, "function_call_arguments.delta", delta='{"city": '),
    of(4, "function_call_arguments.delta", delta='"Cairo"}'),
    of(4, "output_item.done", item=CALLED),
]
STREAM = wire(BEGUN, *ITEMS, ENDED)
# As servers do that tell of whole items only, or of none before the end.
WHOLE_ITEMS = wire(BEGUN, *(e for e in ITEMS if e["type"].endswith("item.done")), ENDED)
AT_THE_END = wire(BEGUN, ENDED)
STREAMS = {"pieces": STREAM, "items": WHOLE_ITEMS, "end": AT_THE_END}


def test_the_codec_keeps_its_contract() -> None:
    """Repeatable, split anywhere, a fault for each status, buckets that add up."""
    told = {"text": "The Nile.", "usage": BILLED, "tool_names": ("find",)}
    check_codec(
        CODEC,
        request=Request(id="r", body={"messages": [QUESTION]}),
        deployment=deployment(URL, "gpt-5.1"),
        answers=[
            RecordedAnswer(body=json.dumps(response()).encode(), streamed=False, **told),
            *(RecordedAnswer(body=body, streamed=True, **told) for body in STREAMS.values()),
        ],
    )


def read(body: bytes) -> list[Chunk | Fault]:
    """Everything that a stream gives."""
    decoder = CODEC.decoder()
    found = list(decoder.feed(body))
    fault = decoder.end()
    return [*found, fault] if fault else found


def test_events_that_the_sse_field_names_alone_are_read_and_passed_on_by_name() -> None:
    """Nobody who gets them has to know what the field was."""
    named = [json.loads(json.dumps(event)) for event in (BEGUN, *ITEMS, ENDED)]
    lines = [(event.pop("type"), json.dumps(event)) for event in named]
    bare = "".join(f"event: {kind}\ndata: {data}\n\n" for kind, data in lines).encode()
    assert read(bare) == read(STREAM)
    (fault,) = read(b'event: error\ndata: {"code": "x", "message": "no room"}\n\n')
    assert isinstance(fault, Fault)
    assert "no room" in fault.detail


@pytest.mark.parametrize("form", ["whole", *STREAMS])
def test_thoughts_find_their_way_back_in_chat(form: str) -> None:
    """Each with what it was encrypted to, to the model that had them and to no other."""
    if form == "whole":
        chunks: list[Any] = [CODEC.decode(json.dumps(response()).encode())]
    else:
        chunks = read(STREAMS[form])
    deltas = [delta for chunk in chunks for delta in chunk.deltas]
    assert [d.finish_reason for d in deltas if d.finish_reason] == ["tool_calls"]
    assert "".join(c.arguments for d in deltas for c in d.tool_calls) == CALLED["arguments"]
    message = {
        "role": "assistant",
        "content": "".join(d.text for d in deltas),
        "reasoning_content": "".join(d.reasoning for d in deltas),
        "reasoning_signature": "".join(d.signature for d in deltas),
        "tool_calls": [CALL],
    }
    body = sent({"messages": [QUESTION, message, QUESTION]})
    back = [item for item in body["input"] if item["type"] == "reasoning"]
    bare = [{k: v for k, v in item.items() if k != "id"} for item in REASONING]
    assert back == bare
    elsewhere = ResponsesCodec(mark="f" * 12)
    asked = Request(id="r", body={"messages": [QUESTION, message, QUESTION]})
    told = json.loads(elsewhere.encode(asked, deployment(URL, "m"), stream=False).body)
    assert [item["type"] for item in told["input"]] == [
        "message",
        "message",
        "function_call",
        "message",
    ]


def test_a_body_of_its_own_kind_passes() -> None:
    """Fields, tools and items that are not known too; ids of what is not kept do not."""
    whole = CODEC.decode(json.dumps(response()).encode())
    assert isinstance(whole, Chunk)
    history = [dict(item) for item in whole.raw["output"]]
    assert history[0]["encrypted_content"] == f"tn{MARK}-16.{SECRETS[0]}"
    native = {
        "input": [QUESTION, *history, {"type": "item_reference", "id": "rs_9"}, QUESTION],
        "truncation": "auto",
        "max_tool_calls": 3,
        "include": ["message.output_text.logprobs"],
        "reasoning": {"effort": "low"},
        "metadata": {"team": "legal"},
        "store": True,
        "something_new": [1],
        "tools": [{"type": "function", "name": "find", "parameters": SCHEMA, "new": 1}],
    }
    body = passed(native)
    for name in ("truncation", "max_tool_calls", "reasoning", "something_new", "tools"):
        assert body[name] == native[name]
    assert body["include"] == [*native["include"], "reasoning.encrypted_content"]  # type: ignore[misc]
    assert body["store"] is False
    assert "metadata" not in body
    bare = [{k: v for k, v in item.items() if k != "id"} for item in OUTPUT]
    bare[1] = SEARCH
    assert body["input"] == [QUESTION, *bare, QUESTION]


@pytest.mark.parametrize(("model", "kept"), [("auto", False), ("gpt-5.1", True)])
def test_thoughts_that_nobody_marked(model: str, *, kept: bool) -> None:
    """Go to a model that the caller named, who knows where they are from."""
    native = {"model": model, "input": [QUESTION, REASONING[0], QUESTION]}
    body = passed(native, "gpt-5.1", model=model)
    assert (len(body["input"]) == 3) is kept
    marked = {**REASONING[0], "encrypted_content": f"tn{'f' * 12}-16.x"}
    others = passed({**native, "input": [marked, QUESTION]}, "gpt-5.1", model=model)
    assert others["input"] == [QUESTION]


FAILED = response(status="failed", output=[], error={"code": "server_error", "message": "Oh"})


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (FAILED, "unavailable"),
        ({**FAILED, "error": {"code": "rate_limit_exceeded", "message": "Slow"}}, "rate_limited"),
        ({**FAILED, "error": {"code": "invalid_prompt", "message": "Flagged"}}, "content_filtered"),
        ({**FAILED, "error": {"code": "bio_policy", "message": "Oh"}}, "content_filtered"),
        ({**FAILED, "error": {"code": "image_too_large", "message": "Oh"}}, "invalid_request"),
        ({**FAILED, "error": {"code": "image_file_not_found", "message": "Oh"}}, "invalid_request"),
        ({**FAILED, "error": None}, "interrupted"),
        (response(status="in_progress"), "interrupted"),
        (response(status="cancelled"), "interrupted"),
        (response(output=[]), "bad_response"),
        (response(output=None), "bad_response"),
        (response(output=[{"type": "message", "content": [1]}]), "bad_response"),
        ([], "bad_response"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_a_fault(body: Any, kind: str) -> None:
    """Though its status was 200."""
    found = CODEC.decode(json.dumps(body).encode())
    assert isinstance(found, Fault)
    assert found.kind == kind


@pytest.mark.parametrize(
    ("reason", "finish"), [("max_output_tokens", "length"), ("content_filter", "content_filter")]
)
def test_an_answer_may_end_early(reason: str, finish: str) -> None:
    """Which is an end of its own, whole or streamed, though nothing was said."""
    short = response(status="incomplete", incomplete_details={"reason": reason}, output=[])
    found = CODEC.decode(json.dumps(short).encode())
    assert isinstance(found, Chunk)
    assert found.deltas[-1].finish_reason == finish
    *_, last = read(wire(BEGUN, {"type": "response.incomplete", "response": short}))
    assert isinstance(last, Chunk)
    assert last.deltas[-1].finish_reason == finish


def test_a_refusal_is_one() -> None:
    """In pieces, and whole."""
    part = {"type": "refusal", "refusal": "I will not."}
    message = {**MESSAGE, "content": [part]}
    found = CODEC.decode(json.dumps(response(output=[message])).encode())
    assert isinstance(found, Chunk)
    assert (found.deltas[0].refusal, found.deltas[0].text) == ("I will not.", "")
    events = [
        of(0, "output_item.added", item={**MESSAGE, "content": []}),
        of(0, "refusal.delta", content_index=0, delta="I will "),
        of(0, "refusal.delta", content_index=0, delta="not."),
        of(0, "output_item.done", item=message),
    ]
    done = {"type": "response.completed", "response": response(output=[message])}
    chunks = read(wire(BEGUN, *events, done))
    said = "".join(d.refusal for c in chunks if isinstance(c, Chunk) for d in c.deltas)
    assert said == "I will not."


FLAT = {"type": "error", "code": "server_error", "message": "Oh no", "param": None}
NESTED = {"type": "error", "error": {"type": "x", "code": "rate_limit_exceeded", "message": "Oh"}}


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        ([FLAT], "unavailable"),
        ([NESTED], "rate_limited"),
        ([{"type": "response.failed", "response": FAILED}], "unavailable"),
        ([{"type": "response.failed", "response": {}}], "unavailable"),
        ([{"type": "response.completed", "response": response(status=None)}], "interrupted"),
        ([{"type": "response.completed", "response": response(output=[])}], "bad_response"),
        ([], "interrupted"),
        ([{"type": "response.completed"}], "bad_response"),
    ],
)
def test_a_stream_that_breaks_off_is_never_a_clean_end(
    events: list[dict[str, Any]], kind: str
) -> None:
    """An error, a failure, an end without a status, and no end at all."""
    *_, last = read(wire(BEGUN, *events))
    assert isinstance(last, Fault)
    assert last.kind == kind
    before = read(wire(BEGUN, *ITEMS[:-4], *events))
    if events and events[0]["type"] != "response.completed":
        assert isinstance(before[-1], Fault)


def test_signs_of_life_are_nobodys_words() -> None:
    """Events of another kind than the response's are passed over."""
    chunks = read(wire(BEGUN, {"type": "keepalive"}, *ITEMS, ENDED))
    assert chunks == read(wire(BEGUN, *ITEMS, ENDED))


def test_a_file_that_lies_elsewhere_is_told_by_its_address() -> None:
    """Data has another word there than an address."""
    address = "https://example.org/a.pdf"
    part = {"type": "file", "file": {"filename": "a.pdf", "file_data": address}}
    body = sent({"messages": [{"role": "user", "content": [part]}]})
    assert body["input"][0]["content"] == [{"type": "input_file", "file_url": address}]
