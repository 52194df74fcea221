"""Whatever a caller says, the provider hears it, or the answer tells that it did not.

The fields are those that the makers' own clients have for each API (openai 3.54, anthropic 2.12).
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.gateway.world import Answer, World, chat, world

PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
FAMILIES = ["openai", "openai-responses", "anthropic"]
EPHEMERAL = {"type": "ephemeral"}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
FUNCTION = {"name": "forecast", "parameters": SCHEMA}
FORMAT = {"type": "json_schema", "schema": {**SCHEMA, "required": ["city"]}}
FIELDS: dict[str, dict[str, Any]] = {
    "chat": {
        "audio": {"voice": "alloy", "format": "wav"},
        "cache_control": EPHEMERAL,
        "frequency_penalty": 0.5,
        "function_call": {"name": "forecast"},
        "functions": [FUNCTION],
        "logit_bias": {"17": -100},
        "logprobs": True,
        "max_completion_tokens": 77,
        "max_tokens": 77,
        "metadata": {"ours": "yes"},
        "modalities": ["text", "audio"],
        "moderation": {"model": "omni-moderation-latest"},
        "n": 2,
        "newest_of_all": 7,
        "prediction": {"type": "content", "content": "x"},
        "presence_penalty": 0.5,
        "prompt_cache_key": "k",
        "prompt_cache_options": {"mode": "explicit"},
        "prompt_cache_retention": "24h",
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", **FORMAT}},
        "safety_identifier": "s",
        "seed": 7,
        "service_tier": "flex",
        "stop": ["END"],
        "store": True,
        "temperature": 0.3,
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "tools": [{"type": "function", "function": FUNCTION}],
        "top_k": 7,
        "top_p": 0.3,
        "user": "u",
        "verbosity": "low",
        "web_search_options": {"search_context_size": "low"},
    },
    "messages": {
        "cache_control": EPHEMERAL,
        "compaction": {"type": "auto"},
        "container": "c_1",
        "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
        "diagnostics": {"level": "full"},
        "fallbacks": [{"model": "claude-b"}],
        "inference_geo": "us",
        "mcp_servers": [{"type": "url", "name": "x", "url": "https://example.com"}],
        "metadata": {"user_id": "u"},
        "newest_of_all": 7,
        "output_config": {"format": FORMAT, "effort": "low", "task_budget": {"total": 20000}},
        "service_tier": "standard_only",
        "speed": "fast",
        "stop_sequences": ["END"],
        "system": "Be kind.",
        "temperature": 0.3,
        "thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
        "thread": "t_1",
        "tools": [{"name": "forecast", "input_schema": SCHEMA, "input_examples": [{"city": "x"}]}],
        "top_k": 7,
        "top_p": 0.3,
        "user_profile_id": "p_1",
        "workspace_id": "w_1",
    },
    "responses": {
        "access_programs": ["x"],
        "background_options": {"x": 1},
        "context_management": [{"type": "compaction", "compact_threshold": 9000}],
        "conversation": "conv_1",
        "image": {"size": "large"},
        "include": ["file_search_call.results"],
        "instructions": "Be kind.",
        "max_output_tokens": 77,
        "max_tool_calls": 3,
        "moderation": {"model": "omni-moderation-latest"},
        "newest_of_all": 7,
        "previous_response_id": "resp_0",
        "prompt": {"id": "p_1"},
        "prompt_cache_key": "k",
        "prompt_cache_options": {"mode": "explicit"},
        "prompt_cache_retention": "24h",
        "reasoning": {"effort": "low", "context": "all_turns"},
        "safety_identifier": "s",
        "service_tier": "flex",
        "temperature": 0.3,
        "text": {"format": {"name": "a", **FORMAT}, "verbosity": "low"},
        "tools": [{"type": "function", **FUNCTION, "output_schema": SCHEMA}],
        "top_logprobs": 3,
        "top_p": 0.3,
        "truncation": "auto",
        "user": "u",
    },
}
# Parts of a field that one API has and another has not, each with its name in the header.
INNER = {
    "output_config": ("output_config.task_budget",),
    "reasoning": ("reasoning.context",),
    "thinking": ("thinking.display",),
}


@pytest.fixture(scope="module", params=FAMILIES)
def served(request: pytest.FixtureRequest) -> Iterator[tuple[str, World]]:
    """One gateway for each family, and the family."""
    with world(family=request.param, modalities=["text", "image", "file"]) as w:
        yield request.param, w


def body_of(dialect: str, **more: Any) -> dict[str, Any]:
    """A request of this dialect."""
    if dialect == "responses":
        return {"model": "coder", "input": "n1", **more}
    cap = {"max_tokens": 4000} if dialect == "messages" else {"max_completion_tokens": 4000}
    cap = {} if "max_tokens" in more else cap
    return {"model": "coder", "messages": [{"role": "user", "content": "n1"}], **cap, **more}


def answer_and_provider_body(
    w: World, dialect: str, body: dict[str, Any]
) -> tuple[Answer, dict[str, Any]]:
    """The answer, and the last body that a provider got for it."""
    w.upstream.requests.clear()
    answer = w.post(PATHS[dialect], body)
    return answer, w.sent() if w.upstream.requests else {}


def left_out_names(answer: Answer) -> list[str]:
    """The names in the header."""
    return [name for name in answer.headers.get("x-turnout-left-out", "").split(", ") if name]


@pytest.mark.parametrize(
    ("dialect", "field"), [(dialect, field) for dialect in FIELDS for field in FIELDS[dialect]]
)
def test_each_field_is_heard_or_told_of(
    served: tuple[str, World], dialect: str, field: str
) -> None:
    """A provider's body changes with it, or the header names it, or a 400 does, with the field."""
    family, w = served
    plain, without = answer_and_provider_body(w, dialect, body_of(dialect))
    assert plain.status == 200
    assert left_out_names(plain) == []
    answer, body = answer_and_provider_body(
        w, dialect, body_of(dialect, **{field: FIELDS[dialect][field]})
    )
    if answer.status != 200:
        assert answer.status == 400
        error = answer.json()["error"]
        assert field in error["message"]
        assert dialect == "messages" or error["param"] == field
        return
    native = (dialect, family) in {("messages", "anthropic"), ("responses", "openai-responses")}
    if native or body == without:
        assert (left_out_names(answer) == []) == (body != without)
    if body == without:
        assert left_out_names(answer) == [field]
    for inner in INNER.get(field, ()):
        if not native and dialect != "chat":
            assert inner in left_out_names(answer)


def message(content: Any, role: str = "user") -> dict[str, Any]:
    """A message."""
    return {"role": role, "content": content}


MARKED = {"type": "text", "text": "n1", "cache_control": EPHEMERAL}
IMAGE = {"url": "data:image/png;base64,AAAA", "detail": "high"}
SPECIAL = {"type": "tool_use", "id": "t1", "name": "forecast", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "n1", "cache_control": EPHEMERAL}
SPOKEN = [message("n1"), {"role": "assistant", "audio": {"id": "audio_1"}}, message("n2")]
SEARCHED = {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}
FILE = {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}
CITED = {**FILE, "citations": {"enabled": True}}
QUOTED = {"type": "text", "text": "n1", "citations": [{"type": "char_location"}]}
FOUND = {"type": "search_result", "source": "a", "title": "b", "content": [MARKED]}
OF_BLOCKS = {"type": "document", "source": {"type": "content", "content": [QUOTED]}}
CALMER = {"role": "system", "output_config": {"effort": "low"}}
ENDING = {"type": "text", "text": "n1", "prompt_cache_breakpoint": {"mode": "explicit"}}
PAGE = {"type": "input_file", "file_url": "https://example.com/a.pdf", "detail": "high"}
CALLED = {"type": "function_call", "call_id": "c1", "name": "forecast", "arguments": "{}"}
RETURNED = {"type": "function_call_output", "call_id": "c1", "output": [{**PAGE, "detail": "low"}]}
TOOL = {"name": "forecast", "input_schema": SCHEMA}
FORCED = {"type": "function", "function": {"name": "forecast"}}
OWN_TOOL = {"type": "function", "name": "forecast", "parameters": SCHEMA}
CHAT_TOOL = {"type": "function", "function": FUNCTION}
# What is inside of messages and tools: the dialect, its fields, and what the families do not hear.
INSIDE: dict[str, tuple[str, dict[str, Any], dict[str, list[str]]]] = {
    "mark": (
        "messages",
        {"messages": [message([MARKED])]},
        {"openai": ["cache_control"], "openai-responses": ["cache_control"], "anthropic": []},
    ),
    "mark of instructions": (
        "messages",
        {"system": [{**MARKED, "text": "Be kind."}]},
        {"openai": ["cache_control"], "openai-responses": ["cache_control"], "anthropic": []},
    ),
    "mark of a tool": (
        "messages",
        {"tools": [{**TOOL, "cache_control": EPHEMERAL}]},
        {"openai": ["cache_control"], "openai-responses": ["cache_control"], "anthropic": []},
    ),
    "mark of a result": (
        "messages",
        {
            "messages": [message("n1"), message([SPECIAL], "assistant"), message([RESULT])],
            "tools": [TOOL],
        },
        {"openai": ["cache_control"], "openai-responses": ["cache_control"], "anthropic": []},
    ),
    "mark of a chat message": (
        "chat",
        {"messages": [{**message("n1"), "cache_control": EPHEMERAL}]},
        {"openai": [], "openai-responses": ["cache_control"], "anthropic": []},
    ),
    "name": (
        "chat",
        {"messages": [{**message("n1"), "name": "Ann"}]},
        {"openai": [], "openai-responses": ["messages.name"], "anthropic": ["messages.name"]},
    ),
    "detail": (
        "chat",
        {"messages": [message([MARKED, {"type": "image_url", "image_url": IMAGE}])]},
        {
            "openai": [],
            "openai-responses": ["cache_control"],
            "anthropic": ["messages.image_url.detail"],
        },
    ),
    "search": (
        "messages",
        {"messages": [message("n1"), message([SEARCHED, MARKED], "assistant"), message("n2")]},
        {
            "openai": ["cache_control", "messages.server_tool_use"],
            "openai-responses": ["cache_control", "messages.server_tool_use"],
            "anthropic": [],
        },
    ),
    "citations": (
        "messages",
        {"messages": [message([{"type": "text", "text": "n1"}, CITED])]},
        {
            "openai": ["messages.citations"],
            "openai-responses": ["messages.citations"],
            "anthropic": [],
        },
    ),
    "what is inside of found texts and documents": (
        "messages",
        {"messages": [message([{"type": "text", "text": "n1"}, FOUND, OF_BLOCKS])]},
        {
            "openai": ["cache_control", "messages.citations"],
            "openai-responses": ["cache_control", "messages.citations"],
            "anthropic": [],
        },
    ),
    "new fields of messages": (
        "chat",
        {
            "messages": [
                {**message("n1"), "newest": 1},
                {**message("a", "assistant"), "prefix": True},
            ]
        },
        {
            "openai": [],
            "openai-responses": ["messages.newest", "messages.prefix"],
            "anthropic": ["messages.newest", "messages.prefix"],
        },
    ),
    "fields of an answer that is repeated": (
        "chat",
        {
            "messages": [
                message("n1"),
                {
                    **message("a", "assistant"),
                    "reasoning": "b",
                    "annotations": [{}],
                    "prefix": False,
                },
                message("n2"),
            ]
        },
        {"openai": [], "openai-responses": [], "anthropic": []},
    ),
    "new fields of an input": (
        "responses",
        {"input": [{**message("n1"), "newest": 1}, {**message("a", "assistant"), "phase": "b"}]},
        {"openai": ["input.newest"], "openai-responses": [], "anthropic": ["input.newest"]},
    ),
    "a setting beside instructions": (
        "messages",
        {"messages": [message("n1"), {**message("Be kind.", "system"), "clear_at": "never"}]},
        {
            "openai": ["messages.clear_at"],
            "openai-responses": ["messages.clear_at"],
            "anthropic": [],
        },
    ),
    "a setting without instructions": (
        "messages",
        {"messages": [message("n1"), CALMER]},
        {
            "openai": ["messages.output_config"],
            "openai-responses": ["messages.output_config"],
            "anthropic": [],
        },
    ),
    "the end of a cache in chat": (
        "chat",
        {"messages": [message([ENDING])]},
        {"openai": [], "openai-responses": [], "anthropic": ["messages.prompt_cache_breakpoint"]},
    ),
    "the end of a cache in an answer": (
        "chat",
        {"messages": [message("n0"), message([ENDING], "assistant"), message("n1")]},
        {
            "openai": [],
            "openai-responses": ["messages.prompt_cache_breakpoint"],
            "anthropic": ["messages.prompt_cache_breakpoint"],
        },
    ),
    "parts of an input": (
        "responses",
        {"input": [message([{**ENDING, "type": "input_text"}, PAGE]), CALLED, RETURNED]},
        {
            "openai": ["input.detail", "input.prompt_cache_breakpoint"],
            "openai-responses": [],
            "anthropic": ["input.detail", "input.prompt_cache_breakpoint"],
        },
    ),
    "tools in an input": (
        "responses",
        {"input": [message("n1"), {"type": "additional_tools", "tools": [{**OWN_TOOL, "x": 1}]}]},
        {"openai": ["tools.x"], "openai-responses": [], "anthropic": ["tools.x"]},
    ),
    "what a namespace is for": (
        "responses",
        {"tools": [{"type": "namespace", "name": "a", "description": "b", "tools": [OWN_TOOL]}]},
        {
            "openai": ["tools.description"],
            "openai-responses": [],
            "anthropic": ["tools.description"],
        },
    ),
    "thoughts between tools": (
        "messages",
        {"thinking": {"type": "between_tools"}},
        {"openai": ["thinking"], "openai-responses": ["thinking"], "anthropic": []},
    ),
    "an effort that a forced tool leaves no room for": (
        "chat",
        {"tools": [CHAT_TOOL], "tool_choice": FORCED, "reasoning_effort": "low"},
        {"openai": [], "openai-responses": [], "anthropic": ["reasoning_effort"]},
    ),
    "a thought that a forced tool leaves no room for": (
        "responses",
        {"tools": [OWN_TOOL], "tool_choice": "required", "reasoning": {"effort": "low"}},
        {"openai": [], "openai-responses": [], "anthropic": ["reasoning.effort"]},
    ),
    "a temperature beside thinking": (
        "chat",
        {"reasoning_effort": "low", "temperature": 0.3},
        {"openai": [], "openai-responses": [], "anthropic": ["temperature"]},
    ),
    "two ways to sample": (
        "chat",
        {"top_p": 0.5, "temperature": 0.3},
        {"openai": [], "openai-responses": [], "anthropic": ["top_p"]},
    ),
}


@pytest.mark.parametrize("case", INSIDE)
def test_what_is_inside_is_told_of_too(served: tuple[str, World], case: str) -> None:
    """Marks of caches, names, details, others' searches, and settings that exclude each other.

    What is not told of is in the provider's body.
    """
    family, w = served
    dialect, more, lost = INSIDE[case]
    answer, body = answer_and_provider_body(w, dialect, {**body_of(dialect), **more})
    assert answer.status == 200, answer.body
    assert left_out_names(answer) == lost[family]
    for mark in ("cache_control", "prompt_cache_breakpoint", "clear_at", "output_config"):
        named = any(mark in name for name in lost[family])
        asked = json.dumps(more).count(mark)
        assert json.dumps(body).count(mark) == (0 if named else asked)


@pytest.mark.parametrize("stream", [False, True])
def test_a_kept_answer_tells_what_was_left_out_as_well(*, stream: bool) -> None:
    """The header is in a stream's head, and in that of an answer from the cache."""
    with world(family="anthropic", cache={"ttl_s": 60}) as w:
        for hit in (None, "hit"):
            answer = w.post(PATHS["chat"], body_of("chat", seed=7, stream=stream))
            assert answer.headers.get("x-turnout-cache") == hit
            assert left_out_names(answer) == ["seed"]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("dialect", "family", "more", "field", "said"),
    [
        ("chat", "anthropic", {"n": 2}, "n", "n is not offered by Anthropic's API"),
        *(
            ("chat", family, {"messages": SPOKEN}, "messages", f"audio is not offered by {api}")
            for family, api in (("anthropic", "Anth"), ("openai-responses", "OpenAI's Resp"))
        ),
        (
            "messages",
            "openai-responses",
            {"stop_sequences": ["END"]},
            "stop_sequences",
            "stop_sequences is not offered by OpenAI's Responses",
        ),
        (
            "responses",
            "anthropic",
            {"include": ["message.output_text.logprobs"]},
            "include",
            "include is not offered by Anthropic's API",
        ),
    ],
)
def test_what_no_model_can_be_asked_is_a_400_that_names_the_field(
    dialect: str, family: str, more: dict[str, Any], field: str, said: str, *, stream: bool
) -> None:
    """In the caller's own word, with what to do, and every model that could not be asked."""
    with world(family=family) as w:
        answer = w.post(
            PATHS[dialect], {**body_of(dialect, stream=stream, **more), "model": "auto"}
        )
        error = answer.json()["error"]
        assert (answer.status, error["type"]) == (400, "invalid_request_error")
        assert error["message"].startswith(said)
        assert "leave it out" in error["message"]
        assert error.get("param") == (None if dialect == "messages" else field)
        assert len(error["attempts"]) == 3
        assert w.upstream.requests == []


@pytest.mark.parametrize("dialect", ["chat", "messages"])
def test_an_answer_begun_ends_in_no_blank_where_that_is_refused(dialect: str) -> None:
    """Anthropic refuses one, which people do not see in what they wrote."""
    with world(family="anthropic") as w:
        begun = [message("n1"), message("It is ", "assistant")]
        answer, body = answer_and_provider_body(w, dialect, {**body_of(dialect), "messages": begun})
        assert answer.status == 200
        last = body["messages"][-1]["content"]
        assert (last if dialect == "messages" else last[0]["text"]) == "It is"


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_that_cannot_be_told_is_no_attempt(*, stream: bool) -> None:
    """Nothing was sent to it, and the reason says why another one answers."""
    with world(speaks={"fast": "anthropic"}, ledger="off") as w:
        answer = w.post(PATHS["chat"], chat(stop=[" "], stream=stream))
        assert (answer.status, len(w.upstream.requests)) == (200, 1)
    assert answer.headers["x-turnout-attempts"] == "1"
    assert answer.headers["x-turnout-reason"].endswith("after acme/fast invalid_request")


def test_a_format_of_a_new_type_is_told_to_others(served: tuple[str, World]) -> None:
    """They refuse what they do not know; it was left out, and nothing told of it."""
    family, w = served
    shape = {"type": "grammar", "syntax": "lark"}
    body = body_of("messages", output_config={"format": shape})
    _, sent = answer_and_provider_body(w, "messages", body)
    found = {
        "openai": sent.get("response_format"),
        "openai-responses": sent.get("text", {}).get("format"),
        "anthropic": sent.get("output_config", {}).get("format"),
    }
    assert found[family] == shape
