"""OpenAI's chat completions: what is sent, and how a whole answer is read."""

import copy
import json
import re
from types import MappingProxyType
from typing import Any

import orjson
import pytest

from tests.providers.worlds import KEY, deployment, request
from turnout.catalog import Deployment
from turnout.core import Chunk, Delta, Fault, InvalidRequest, Request, ToolCallDelta, Usage
from turnout.providers import OpenAIChatCodec

CODEC = OpenAIChatCodec()
KNOWN = deployment("https://api.openai.com/v1/", "gpt-x")
UNKNOWN = deployment("https://api.runcrate.ai/v1", "deepseek-ai/DeepSeek-V3.2")


def test_the_body_is_forwarded_but_for_the_model() -> None:
    """Tools, system prompts, parameters and fields nobody knows arrive as the caller wrote them."""
    body = {
        "model": "auto",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "é"}],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "tool_choice": "auto",
        "temperature": 0.0,
        "stop": None,
        "seed": 2**53,
        "x_unknown": {"deep": [1, 2.5, None, True]},
    }
    sent = CODEC.encode(Request(id="r", body=body), UNKNOWN, stream=False)
    assert json.loads(sent.body) == {**body, "model": "deepseek-ai/DeepSeek-V3.2"}
    assert list(json.loads(sent.body)) == list(body)


LOCAL = deployment("http://127.0.0.1:8000/v1", "m")
AZURE = deployment("https://mine.openai.azure.com/openai/v1", "gpt-x")


@pytest.mark.parametrize(
    ("where", "given", "sent"),
    [
        (UNKNOWN, {"max_completion_tokens": 9}, {"max_tokens": 9}),
        (UNKNOWN, {"max_tokens": 9}, {"max_tokens": 9}),
        (KNOWN, {"max_tokens": 9}, {"max_completion_tokens": 9}),
        (AZURE, {"max_tokens": 9}, {"max_completion_tokens": 9}),
        (KNOWN, {"max_tokens": 7, "max_completion_tokens": 9}, {"max_completion_tokens": 9}),
        (UNKNOWN, {"max_tokens": 7, "max_completion_tokens": 9}, {"max_tokens": 9}),
        (LOCAL, {"max_completion_tokens": 9}, {"max_completion_tokens": 9}),
        (UNKNOWN, {}, {}),
    ],
)
def test_the_cap_is_said_in_the_providers_word(
    where: Deployment, given: dict[str, int], sent: dict[str, int]
) -> None:
    """A cap in another's word is refused, or ignored and paid for."""
    body = {"messages": [{"role": "user", "content": "x"}], **given}
    found = json.loads(CODEC.encode(Request(id="r", body=body), where, stream=False).body)
    assert {name: value for name, value in found.items() if name.startswith("max_")} == sent


def test_a_developer_is_the_system_where_there_is_no_such_role() -> None:
    """OpenAI's own role goes to OpenAI and to local servers as it is."""
    body = {"messages": [{"role": "developer", "content": "b"}, {"role": "user", "content": "x"}]}
    roles = {
        where.provider.base_url: [
            message["role"]
            for message in json.loads(
                CODEC.encode(Request(id="r", body=body), where, stream=False).body
            )["messages"]
        ]
        for where in (UNKNOWN, KNOWN, LOCAL)
    }
    assert [first for first, _ in roles.values()] == ["system", "developer", "developer"]


def test_the_callers_body_is_not_changed() -> None:
    """Encoding for one deployment leaves the body as it was for the next."""
    body = {"messages": [{"role": "user", "content": "x"}], "stream_options": {"a": 1}}
    before = copy.deepcopy(body)
    CODEC.encode(Request(id="r", body=body), KNOWN, stream=True)
    assert body == before


def test_url_and_headers() -> None:
    """The path is added once; key, request id and the provider's own headers are sent."""
    where = deployment("https://h/v1/", "m", headers={"x-title": "t", "ACCEPT": "text/plain"})
    sent = CODEC.encode(request(request_id="r-9"), where, stream=True)
    assert sent.url == "https://h/v1/chat/completions"
    assert sent.method == "POST"
    assert sent.headers["Authorization"] == f"Bearer {KEY}"
    assert sent.headers["X-Request-Id"] == "r-9"
    assert sent.headers["x-title"] == "t"
    assert [v for k, v in sent.headers.items() if k.lower() == "accept"] == ["text/plain"]
    assert KEY not in repr(sent)


def test_without_a_key_nothing_is_authorised() -> None:
    """A local server without a key gets no Authorization header."""
    where = deployment("http://localhost:11434/v1", "m", api_key=None)
    assert "Authorization" not in CODEC.encode(request(), where, stream=False).headers


def test_usage_is_asked_for_where_it_is_understood() -> None:
    """Only providers known to take stream_options are sent it, beside the caller's own options."""
    asked = request(stream_options={"include_obfuscation": False})
    known = json.loads(CODEC.encode(asked, KNOWN, stream=True).body)
    assert known["stream"] is True
    assert known["stream_options"] == {"include_obfuscation": False, "include_usage": True}
    unknown = json.loads(CODEC.encode(request(), UNKNOWN, stream=True).body)
    assert unknown["stream"] is True
    assert "stream_options" not in unknown
    local = deployment("http://127.0.0.1:8080/v1", "m")
    assert "stream_options" in json.loads(CODEC.encode(request(), local, stream=True).body)


def test_a_whole_answer_is_asked_for_without_stream_fields() -> None:
    """Providers refuse stream_options without stream, so both go."""
    asked = request(stream=True, stream_options={"include_usage": True})
    sent = json.loads(CODEC.encode(asked, KNOWN, stream=False).body)
    assert "stream" not in sent
    assert "stream_options" not in sent


def test_frozen_and_tuple_bodies_can_be_sent() -> None:
    """Read-only mappings and tuples are written as objects and lists."""
    message = MappingProxyType({"role": "user", "content": ({"type": "text", "text": "x"},)})
    sent = CODEC.encode(Request(id="r", body={"messages": (message,)}), KNOWN, stream=False)
    assert json.loads(sent.body)["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "x"}]}
    ]


@pytest.mark.parametrize("value", [object(), {1, 2}, "\ud800", 2**70, {1: 2}])
def test_what_json_has_no_form_for_is_refused(value: object) -> None:
    """A value that cannot be sent is one clear error, not a half-sent request."""
    with pytest.raises(InvalidRequest, match="cannot be written as JSON"):
        CODEC.encode(request(extra=value), KNOWN, stream=False)


def decode(**fields: Any) -> Chunk | Fault:
    """What the codec reads from a whole answer."""
    return CODEC.decode(json.dumps({"id": "c-1", "model": "m-1", **fields}).encode())


def choice(**message: Any) -> dict[str, Any]:
    """One finished choice."""
    return {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}


def test_a_whole_answer_is_read() -> None:
    """Text, reasoning, usage, model and id; the payload is kept for what has no field."""
    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    answer = choice(content="hi", reasoning_content="hm", annotations=[1])
    found = decode(choices=[answer], usage=usage, system_fingerprint="fp")
    assert isinstance(found, Chunk)
    assert found.deltas == (Delta(text="hi", reasoning="hm", finish_reason="stop"),)
    assert found.usage == Usage(input=9, output=2)
    assert (found.id, found.model) == ("c-1", "m-1")
    assert found.raw["system_fingerprint"] == "fp"
    assert found.raw["choices"][0]["message"]["annotations"] == [1]


def test_reasoning_has_two_names() -> None:
    """DeepSeek says reasoning_content, OpenRouter says reasoning."""
    found = decode(choices=[choice(content="", reasoning="hm")])
    assert isinstance(found, Chunk)
    assert found.deltas[0].reasoning == "hm"


def test_parallel_tool_calls_keep_their_arguments() -> None:
    """Each call keeps its index, id, name and the exact text of its arguments."""
    calls = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": {"y": 2}}},
    ]
    found = decode(choices=[choice(content=None, tool_calls=calls)])
    assert isinstance(found, Chunk)
    assert found.deltas[0].tool_calls == (
        ToolCallDelta(index=0, id="a", name="f", arguments='{"x": 1}'),
        ToolCallDelta(index=1, id="b", name="g", arguments='{"y":2}'),
    )
    assert found.has_content


def test_all_choices_are_read() -> None:
    """With n > 1 each choice is a delta of its own."""
    second = {**choice(content="two"), "index": 1}
    found = decode(choices=[choice(content="one"), second])
    assert isinstance(found, Chunk)
    assert [(delta.choice, delta.text) for delta in found.deltas] == [(0, "one"), (1, "two")]


def test_content_in_parts_is_joined() -> None:
    """Mistral may answer in a list of parts (docs.mistral.ai/api)."""
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}
    parts = [{"type": "text", "text": "a"}, {"type": "reference"}, {"type": "text", "text": "b"}]
    found = decode(choices=[choice(content=[thought, *parts, thought])])
    assert isinstance(found, Chunk)
    assert found.deltas[0].text == "ab"
    assert found.deltas[0].reasoning == "tt"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON: nothing"),
        (b"<!DOCTYPE html><p>x", "not JSON: an HTML page"),
        (b'{"choices": ["a canary', "broken JSON: unexpected end of data"),
        (b"\xff\xfe", "not JSON"),
        (b"null", "not an object"),
        (b"[]", "not an object"),
        (b"{}", "no choices"),
        (b'{"choices": []}', "no choices"),
        (b'{"choices": null}', "no choices"),
        (b'{"choices": "x"}', "not a list"),
        (b'{"choices": {"index": 0}}', "not a list"),
        (b'{"choices": [1]}', "not an object"),
        (b'{"choices": [{"message": "x"}]}', "not an object"),
        (b'{"choices": [{"message": {"content": 5}}]}', "not text"),
        (b'{"choices": [{"index": -1, "message": {"content": "x"}}]}', "not a whole number"),
        (b'{"choices": [{"message": {"tool_calls": [1]}}]}', "not an object"),
    ],
)
def test_a_body_that_is_no_answer_is_a_fault(body: bytes, says: str) -> None:
    """Half an answer, a page and wrong types are bad responses that may be tried again."""
    found = CODEC.decode(body)
    assert isinstance(found, Fault)
    assert (found.kind, found.retry) == ("bad_response", "transient")
    assert says in found.detail


def test_an_error_with_status_200_is_a_fault() -> None:
    """An error object counts, whatever status it came with (openrouter.ai/docs/api/errors)."""
    found = CODEC.decode(b'{"error": {"code": 429, "message": "slow down"}, "choices": []}')
    assert isinstance(found, Fault)
    assert (found.kind, found.retry, found.status) == ("rate_limited", "rate_limit", None)


def test_a_body_in_a_fault_is_scrubbed() -> None:
    """What is shown of a broken body holds no secret."""
    codec = OpenAIChatCodec.for_deployment(deployment("http://h", "m", api_key="plain-canary"))
    found = codec.decode(b'{"choices": "plain-canary')
    assert isinstance(found, Fault)
    assert "canary" not in found.detail


def test_answers_survive_a_round_trip() -> None:
    """The raw payload written again is the answer that was read."""
    body = orjson.dumps({"id": "c", "choices": [choice(content="x")], "usage": None})
    found = CODEC.decode(body)
    assert isinstance(found, Chunk)
    assert orjson.dumps(found.raw) == body


@pytest.mark.parametrize(
    "reason", ["error", "insufficient_system_resource", "network_error", "function_call_filter"]
)
def test_a_whole_answer_that_broke_off_is_none(reason: str) -> None:
    """Though it has a text and status 200: what came first is no answer."""
    choice = {"index": 0, "message": {"content": "The capital"}, "finish_reason": reason}
    found = CODEC.decode(json.dumps({"choices": [choice]}).encode())
    assert isinstance(found, Fault)
    assert (found.kind, found.retry) == ("interrupted", "transient")
    assert reason in found.detail


def test_google_reads_in_words_what_its_schemas_cannot_say() -> None:
    """It refuses every word that it does not know; others get them all."""
    count = {"type": "integer", "exclusiveMinimum": 0, "description": "How many."}
    kind = {"const": "train", "default": {"minimum": 1}}
    name = {"type": ["string", "null"], "maxLength": 9}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {"count": count, "kind": kind, "const": {"type": "string"}, "name": name},
        "propertyNames": {"pattern": "^[a-z]+$"},
    }
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    request = Request(id="r", body={"messages": [{"role": "user", "content": "x"}], "tools": tools})

    def sent(where: str) -> Any:
        body = CODEC.encode(request, deployment(where, "m"), stream=False).body
        return json.loads(body)["tools"][0]["function"]["parameters"]

    assert sent("https://api.deepseek.com/v1") == schema
    assert sent("https://generativelanguage.googleapis.com/v1beta/openai") == {
        "type": "object",
        "properties": {
            "count": {"type": "integer", "description": "How many. (exclusiveMinimum: 0)"},
            "kind": {"enum": ["train"], "default": {"minimum": 1}},
            "name": {"type": "string", "nullable": True, "maxLength": 9},
            "const": {"type": "string"},
        },
        "description": 'propertyNames: {"pattern":"^[a-z]+$"}',
    }


def translated(where: Deployment, **body: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What is sent of a body that came as Messages, and what it leaves out."""
    asked = Request(id="r", dialect="messages", native={"messages": []}, body=body)
    wire = CODEC.encode(asked, where, stream=False)
    return json.loads(wire.body), wire.lost_fields


OPENROUTER = deployment("https://openrouter.ai/api/v1", "anthropic/claude-x")
MARK = {"cache_control": {"type": "ephemeral"}}


def test_marks_of_caches_go_to_openrouter_and_to_nobody_else() -> None:
    """A Claude behind OpenRouter reads from its cache only where it is told to."""
    content = [{"type": "text", "text": "x", **MARK}]
    messages = [{"role": "system", "content": content}, {"role": "user", "content": content}]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}, **MARK}]
    body = {"messages": messages, "tools": tools, "top_k": 5, **MARK}
    sent, lost_fields = translated(OPENROUTER, **body)
    assert lost_fields == ()
    assert (sent["messages"], sent["top_k"], sent["cache_control"]) == (
        messages, 5, MARK["cache_control"],
    )  # fmt: skip
    assert sent["tools"][0]["cache_control"] == MARK["cache_control"]
    for other in (KNOWN, UNKNOWN):
        sent, lost_fields = translated(other, **body)
        assert set(lost_fields) == {"cache_control", "top_k"}
        assert "cache_control" not in json.dumps(sent)
        assert "top_k" not in sent
        assert sent["messages"][1] == {"role": "user", "content": "x"}


@pytest.mark.parametrize(("where", "most"), [(KNOWN, 4), (AZURE, 4), (UNKNOWN, 9), (LOCAL, 9)])
def test_more_stops_than_are_taken_go_to_another_model(where: Deployment, most: int) -> None:
    """OpenAI takes four; to leave one out would let the model write on."""
    for count in (4, 5, 9):
        body = {
            "messages": [{"role": "user", "content": "x"}],
            "stop": [str(n) for n in range(count)],
        }
        if count <= most:
            sent = CODEC.encode(Request(id="r", body=body), where, stream=False)
            assert json.loads(sent.body)["stop"] == body["stop"]
            continue
        with pytest.raises(
            InvalidRequest, match=f"stop has {count} texts; .* takes at most 4"
        ) as e:
            CODEC.encode(Request(id="r", body=body), where, stream=False)
        assert e.value.field == "stop"


@pytest.mark.parametrize("host", ["api.mistral.ai", "api.example.com"])
def test_mistral_gets_ids_of_nine_letters_and_digits(host: str) -> None:
    """It refuses all others, so a conversation that another model began could not go on there."""
    idents = ["call_1", "call_2", "toolu_01A09q90qw90lq917835lq9", "Ab3dE6gH9"]
    calls = [{"id": one, "type": "function", "function": {"name": "f"}} for one in idents]
    results = [{"role": "tool", "tool_call_id": one, "content": "fine"} for one in idents]
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "tool_calls": calls}]
    asked = Request(id="r", body={"messages": [*turns, *results]})
    wire = CODEC.encode(asked, deployment(f"https://{host}/v1", "m"), stream=False)
    _, answer, *returned = json.loads(wire.body)["messages"]
    called = [one["id"] for one in answer["tool_calls"]]
    assert called == [one["tool_call_id"] for one in returned]
    assert called[-1] == idents[-1]
    if host == "api.mistral.ai":
        assert len(set(called)) == len(idents)
        assert all(re.fullmatch("[A-Za-z0-9]{9}", one) for one in called)
    else:
        assert called == idents


@pytest.mark.parametrize(("host", "more"), [("api.mistral.ai", 1), ("api.example.com", 0)])
def test_mistral_gets_an_answer_between_a_result_and_the_user(host: str, more: int) -> None:
    """It refuses such a message, which callers of Messages send with many results."""
    call = {"id": "Ab3dE6gH9", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": call["id"], "content": "fine"}
    asked, answer = {"role": "user", "content": "Hi"}, {"role": "assistant", "tool_calls": [call]}
    turns = [asked, answer, result, result, asked, asked]
    request = Request(id="r", body={"messages": turns})
    wire = CODEC.encode(request, deployment(f"https://{host}/v1", "m"), stream=False)
    roles = [message["role"] for message in json.loads(wire.body)["messages"]]
    assert roles == ["user", "assistant", "tool", "tool", *["assistant"] * more, "user", "user"]
    assert request.body["messages"] == turns
