"""What coding agents send beyond the plain APIs, before providers that take less of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.world import chat, world
from tests.providers.worlds import deployment
from tests.runtime.world import CODE
from turnout.core import Request
from turnout.gateway.dialects.messages import Messages
from turnout.gateway.dialects.responses import Responses
from turnout.providers.anthropic import AnthropicCodec
from turnout.providers.openai_chat import OpenAIChatCodec
from turnout.providers.settings import refused_setting

BOOKED = {
    "type": "text",
    "text": "x-anthropic-billing-header: cc_version=2.1.197.73f; cc_entrypoint=cli; cch=00ab1;",
}
NOTE = {"role": "system", "content": "The yard is closed."}
USER = json.dumps({"device_id": "0" * 64, "account_uuid": "", "session_id": "1" * 36})
OPENAI = "https://api.openai.com/v1"
OTHER = "https://api.deepseek.com/v1"
ANTHROPIC = "https://api.anthropic.com/v1"


def claude_code_body(**more: Any) -> dict[str, Any]:
    """A Messages body as Claude Code writes it."""
    return {
        "model": "auto",
        "max_tokens": 50,
        "system": [BOOKED, {"type": "text", "text": "You help."}],
        "messages": [{"role": "user", "content": CODE}, NOTE],
        "metadata": {"user_id": USER},
        **more,
    }


def provider_body(
    where: str, body: dict[str, Any], model: str = "m", *, responses: bool = False
) -> Any:
    """What the provider at ``where`` is sent of this body, as an API for chat or Anthropic's."""
    dialect = Responses() if responses else Messages()
    inbound = dialect.read(body)
    request = Request(
        id="r", body=inbound.body, native=inbound.native, dialect=dialect.name, model="auto"
    )
    to = deployment(where, model)
    codec = AnthropicCodec(mark="0" * 12) if "claude" in model else OpenAIChatCodec()
    return json.loads(codec.encode(request, to, stream=False).body)


@pytest.mark.parametrize("where", [OPENAI, OTHER])
def test_a_line_for_anthropics_books_goes_nowhere_else(where: str) -> None:
    """It differs with each request, so that no cache would ever find a prompt's beginning."""
    messages = provider_body(where, claude_code_body())["messages"]
    assert "billing" not in json.dumps(messages)
    assert "You help." in json.dumps(messages[0])
    alone = provider_body(where, claude_code_body(system=[BOOKED]))["messages"]
    assert alone[0]["role"] == "user"


def test_others_who_speak_anthropics_api_do_not_get_it_either() -> None:
    """Anthropic itself gets all that was said, as it was said."""
    there = provider_body(ANTHROPIC, claude_code_body(), "claude-opus-5")
    assert there["system"][0] == BOOKED
    assert there["metadata"]["user_id"] == USER
    elsewhere = provider_body(
        "https://api.example.com/anthropic/v1", claude_code_body(), "claude-opus-5"
    )
    assert [block["text"] for block in elsewhere["system"]] == ["You help."]
    assert len(elsewhere["metadata"]["user_id"]) == 64


def test_a_long_user_is_told_by_its_hash() -> None:
    """OpenAI takes 64 characters; the same user stays the same one, a short id itself."""
    first, again = (provider_body(OPENAI, claude_code_body())["user"] for _ in range(2))
    assert first == again
    assert len(first) == 64
    assert first.isalnum()
    assert provider_body(OPENAI, claude_code_body(metadata={"user_id": "u1"}))["user"] == "u1"


@pytest.mark.parametrize("model", ["claude-opus-4-5", "claude-opus-5"])
def test_a_setting_amid_a_conversation_stays_the_systems(model: str) -> None:
    """It has no words that could be the user's; a Claude that does not know it says so."""
    calmer = {"role": "system", "output_config": {"effort": "low"}}
    with world(family="anthropic", models={"coder": model}) as w:
        for more in ([], [{"role": "assistant", "content": "Of course: "}]):
            asked = [{"role": "user", "content": CODE}, calmer, *more]
            answer = w.post("/v1/messages", {"model": "coder", "max_tokens": 50, "messages": asked})
            assert answer.status == 200, answer.body
            assert w.sent()["messages"][1] == calmer


def test_late_instructions_are_told_where_they_stand() -> None:
    """OpenAI takes them anywhere; templates of other models only once and first."""
    assert [m["role"] for m in provider_body(OPENAI, claude_code_body())["messages"]] == [
        "system",
        "user",
        "system",
    ]
    system, user = provider_body(OTHER, claude_code_body())["messages"]
    assert (system["role"], user["role"]) == ("system", "user")
    assert CODE in user["content"]
    assert "<system-reminder>\nThe yard is closed.\n</system-reminder>" in user["content"]


def test_instructions_at_the_start_are_one() -> None:
    """Codex sends several as its developer, and more after a tool's result."""
    note = {"role": "developer", "content": [{"type": "input_text", "text": "Be brief."}]}
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c1", "output": "done"}
    body = {"input": [note, note, {"role": "user", "content": CODE}, call, result, note]}
    messages = provider_body(OTHER, {**body, "instructions": "Help."}, responses=True)["messages"]
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "tool", "user"]
    assert messages[0]["content"] == "Help.\n\nBe brief.\n\nBe brief."
    assert "Be brief." in messages[-1]["content"]
    roles = [m["role"] for m in provider_body(OPENAI, body, responses=True)["messages"]]
    assert roles == ["developer", "developer", "user", "assistant", "tool", "developer"]


@pytest.mark.parametrize(
    ("model", "roles"),
    [
        ("claude-haiku-4-5", ["user", "user"]),
        ("claude-sonnet-4-6", ["user", "user"]),
        ("claude-opus-4-8", ["user", "system"]),
        ("claude-fable-5", ["user", "system"]),
        ("claude-sonnet-5", ["user", "user"]),
        ("claude-sonnet-5-5", ["user", "system"]),
    ],
)
def test_a_claude_hears_them_as_it_can(model: str, roles: list[str]) -> None:
    """Those before 4.8 refuse the role."""
    messages = provider_body(ANTHROPIC, claude_code_body(), model)["messages"]
    assert [m["role"] for m in messages] == roles
    assert "The yard is closed." in json.dumps(messages[1])


CLOSED = {"role": "developer", "content": "The yard is closed."}
CLOSED_TOLD = "<system-reminder>\nThe yard is closed.\n</system-reminder>"


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-opus-4-8"])
def test_a_claude_hears_late_instructions_of_other_apis_in_their_place(model: str) -> None:
    """Before what came later, so that caches stand; after the user's turn as the system's own."""
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    result = {"type": "function_call_output", "call_id": "c1", "output": "done"}
    user = {"role": "user", "content": CODE}
    body = {"input": [CLOSED, user, CLOSED, user, call, result, CLOSED], "instructions": "Help."}
    sent = provider_body(ANTHROPIC, body, model, responses=True)
    assert [part["text"] for part in sent["system"]] == ["Help.", CLOSED["content"]]
    first, answer, *rest = sent["messages"]
    assert [part["text"] for part in first["content"]] == [CODE, CLOSED_TOLD, CODE]
    assert [part["type"] for part in answer["content"]] == ["tool_use"]
    late = {"type": "text", "text": CLOSED["content"]}
    back = {"type": "tool_result", "tool_use_id": "c1", "content": "done"}
    assert rest == (
        [{"role": "user", "content": [back]}, {"role": "system", "content": [late]}]
        if model == "claude-opus-4-8"
        else [{"role": "user", "content": [back, {"type": "text", "text": CLOSED_TOLD}]}]
    )


@pytest.mark.parametrize(
    ("model", "kept"),
    [("claude-haiku-4-5", False), ("claude-opus-4-5", True), ("claude-opus-5", True)],
)
def test_an_effort_alone_goes_to_models_that_know_it(model: str, *, kept: bool) -> None:
    """The format beside it stays."""
    form = {"type": "json_schema", "schema": {"type": "object"}}
    config = provider_body(
        ANTHROPIC, claude_code_body(output_config={"effort": "low", "format": form}), model
    )
    assert config["output_config"] == {"format": form, **({"effort": "low"} if kept else {})}
    bare = provider_body(ANTHROPIC, claude_code_body(output_config={"effort": "low"}), model)
    assert ("output_config" in bare) is kept


@pytest.mark.parametrize("blank", ["", " \n"])
def test_blank_texts_are_left_out(blank: str) -> None:
    """Anthropic refuses them, and some clients send an empty answer back as one."""
    parts = [{"type": "text", "text": blank}, {"type": "text", "text": "hm"}]
    turns = [
        {"role": "user", "content": CODE},
        {"role": "assistant", "content": [{"type": "text", "text": blank}]},
        {"role": "user", "content": parts},
    ]
    native = provider_body(ANTHROPIC, claude_code_body(messages=turns), "claude-opus-5")["messages"]
    chat = Request(id="r", body={"messages": turns}, model="auto")
    to = deployment(ANTHROPIC, "claude-opus-5")
    read = AnthropicCodec(mark="0" * 12).encode(chat, to, stream=False).body
    for messages in (native, json.loads(read)["messages"]):
        texts = [b["text"] for m in messages for b in m["content"] if isinstance(b, dict)]
        assert blank not in texts
        assert "hm" in texts


@pytest.mark.parametrize("family", ["openai", "openai-responses", "anthropic"])
def test_an_agents_request_is_answered(family: str) -> None:
    """As a whole, before both families."""
    with world(family=family) as w:
        answer = w.post(
            "/v1/messages?beta=true", claude_code_body(), {"anthropic-beta": "a-2026-01-01"}
        )
        assert answer.status == 200, answer.body
        assert "billing" not in json.dumps(w.sent())


LONG = "mcp__4e9e25f1-b480-40f3-ba8d-a792f8f6ff07__" + "update_project_deployment_protection"
TOOL = {"name": LONG, "input_schema": {"type": "object", "properties": {}}}


@pytest.mark.parametrize("stream", [False, True])
def test_long_names_of_tools_are_shortened_and_come_back_whole(*, stream: bool) -> None:
    """OpenAI refuses more than 64 characters; the caller and its history have the whole name."""
    turns = [
        {"role": "user", "content": CODE},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t1", "name": LONG, "input": {}}],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "done"}],
        },
        {"role": "user", "content": CODE},
    ]
    choice = {"type": "tool", "name": LONG}
    with world() as w:
        body = claude_code_body(messages=turns, tools=[TOOL], tool_choice=choice, stream=stream)
        answer = w.post("/v1/messages", body)
        assert answer.status == 200, answer.body
        up = w.sent()
    name = up["tools"][0]["function"]["name"]
    assert len(name) == 64
    assert up["messages"][2]["tool_calls"][0]["function"]["name"] == name
    assert up["tool_choice"]["function"]["name"] == name
    if stream:
        blocks = [json.loads(d).get("content_block", {}) for _, d in answer.events()]
    else:
        blocks = answer.json()["content"]
    assert [b["name"] for b in blocks if b.get("type") == "tool_use"] == [LONG]


def test_an_anthropic_model_gets_them_as_they_are() -> None:
    """It takes 128 characters."""
    with world(family="anthropic") as w:
        answer = w.post("/v1/messages", claude_code_body(tools=[TOOL]))
        assert w.sent()["tools"] == [TOOL]
    assert answer.json()["content"][-1]["name"] == LONG


def test_instructions_between_a_call_and_its_result_wait() -> None:
    """In chat a result has to follow its call."""
    call = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "done"}
    turns = [
        {"role": "user", "content": CODE},
        {"role": "assistant", "content": [call]},
        NOTE,
        {"role": "user", "content": [result]},
    ]
    messages = provider_body(OPENAI, claude_code_body(messages=turns))["messages"]
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "tool", "system"]


def test_calls_of_several_turns_under_one_id_keep_their_results() -> None:
    """Some servers begin anew with ``call_0`` each turn, and tools often say the same."""
    call = {"type": "tool_use", "id": "call_0", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "call_0", "content": "done"}
    turn = [
        {"role": "user", "content": CODE},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    said = {"role": "assistant", "content": "It is done."}
    messages = provider_body(OPENAI, claude_code_body(messages=[*turn, said, *turn]))["messages"]
    roles = ["user", "assistant", "tool"]
    assert [m["role"] for m in messages] == ["system", *roles, "assistant", *roles]


def test_a_thread_is_refused_in_the_words_by_which_clients_go_on_without_one() -> None:
    """Its later requests hold only what is new: answered, they would have lost the rest."""
    thread = {"type": "continue", "previous_message_id": "msg_1"}
    with world() as w:
        said = w.post("/v1/messages", claude_code_body(thread=thread))
    error = said.json()["error"]
    assert (said.status, error["type"]) == (400, "invalid_request_error")
    assert error["details"]["error_code"] == "thread_unsupported_request"
    assert "send the whole conversation" in error["message"]


@pytest.mark.parametrize(
    ("where", "kept"), [(OPENAI, True), (OTHER, True), ("https://api.groq.com/openai/v1", False)]
)
def test_a_hint_to_a_cache_does_not_cost_the_answer(where: str, *, kept: bool) -> None:
    """Codex sends one always, and some providers refuse a request for it."""
    body = {"input": CODE, "prompt_cache_key": "k", "prompt_cache_retention": "24h"}
    assert ("prompt_cache_key" in provider_body(where, body, responses=True)) is kept


def test_only_what_differs_is_said_of_parallel_calls() -> None:
    """True is the default, which some models refuse to be told, and OpenAI without tools."""
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    for parallel, tools, said in ((True, [tool], None), (False, [tool], False), (False, [], None)):
        body = {"input": CODE, "parallel_tool_calls": parallel, "tools": tools}
        assert provider_body(OPENAI, body, responses=True).get("parallel_tool_calls") is said
    bare = provider_body(OPENAI, {"input": CODE, "top_logprobs": 2}, responses=True)
    assert "top_logprobs" not in bare


def test_a_call_that_was_cut_short_does_not_end_the_conversation() -> None:
    """Its arguments are no JSON: Anthropic's models read them as they are."""
    cut = '{"path": "yard.txt", "text": "All trains'
    function = {"name": "write", "arguments": cut}
    turns = [
        {"role": "user", "content": CODE},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "no JSON"},
    ]
    chat = Request(id="r", body={"messages": turns}, model="auto")
    to = deployment(ANTHROPIC, "claude-opus-5")
    sent_on = json.loads(AnthropicCodec(mark="0" * 12).encode(chat, to, stream=False).body)
    assert sent_on["messages"][1]["content"][0]["input"] == {"_raw": cut}


def test_an_answer_that_was_cut_short_says_so_of_its_last_item() -> None:
    """A client does not run half of a call, or takes it for whole."""
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}}}
    model = dict.fromkeys(("fast", "coder", "strong"), "acme/f-parallel-tokens3")
    with world(models=model) as w:
        body = {"model": "auto", "input": "Hello", "max_output_tokens": 1}
        whole = w.post("/v1/responses", body).json()
        assert whole["status"] == "incomplete"
        assert whole["output"][-1]["status"] == "incomplete"
        called = w.post("/v1/responses", {"model": "auto", "input": CODE, "tools": [tool]}).json()
        assert [item["status"] for item in called["output"]] == ["completed"]


def test_clearing_of_a_context_is_left_out_where_it_is_refused() -> None:
    """It only tunes what is kept; others than Anthropic do not know it."""
    said = "context_management: Extra inputs are not permitted"
    assert refused_setting(said) == "context_management"


PICTURE = "data:image/png;base64,aGk="


def test_a_picture_in_a_result_is_seen() -> None:
    """Codex's view_image: OpenAI takes texts from tools, so the user shows it after all results."""
    calls = [
        {"type": "function_call", "call_id": f"c{i}", "name": "view", "arguments": "{}"}
        for i in (1, 2)
    ]
    results = [
        {
            "type": "function_call_output",
            "call_id": f"c{i}",
            "output": [
                {"type": "input_text", "text": f"picture {i}"},
                {"type": "input_image", "image_url": PICTURE},
            ],
        }
        for i in (1, 2)
    ]
    body = {"input": [{"role": "user", "content": CODE}, *calls, *results]}
    *_, one, two, user = provider_body(OPENAI, body, responses=True)["messages"]
    assert [m["content"] for m in (one, two)] == ["picture 1", "picture 2"]
    assert [p["image_url"]["url"] for p in user["content"]] == [PICTURE, PICTURE]
    there = provider_body(ANTHROPIC, body, "claude-opus-5", responses=True)["messages"][-1][
        "content"
    ]
    assert [[b["type"] for b in block["content"]] for block in there] == [["text", "image"]] * 2


def test_tools_without_arguments_reach_those_who_want_them_named() -> None:
    """OpenAI refuses an object without properties and a list of nothing in particular."""
    schema = {
        "type": "object",
        "properties": {"tags": {"type": "array"}, "more": {"type": "object"}},
    }
    tools = [
        {"name": "a", "input_schema": {"type": "object"}},
        {"name": "b", "input_schema": schema},
    ]
    first, second = (
        t["function"]["parameters"]
        for t in provider_body(OPENAI, claude_code_body(tools=tools))["tools"]
    )
    assert first == {"type": "object", "properties": {}}
    assert second["properties"] == {
        "tags": {"type": "array", "items": {}},
        "more": {"type": "object", "properties": {}},
    }
    assert (
        provider_body(ANTHROPIC, claude_code_body(tools=tools), "claude-opus-5")["tools"] == tools
    )


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        ("claude-opus-5", 32_000),
        ("claude-3-7-sonnet-latest", 32_000),
        ("claude-3-5-haiku-latest", 8192),
        ("claude-3-haiku-20240307", 4096),
    ],
)
def test_without_a_cap_a_claude_may_write_what_it_can(model: str, tokens: int) -> None:
    """Codex gives none, and Anthropic wants one: half a file is no answer."""
    assert provider_body(ANTHROPIC, {"input": CODE}, model, responses=True)["max_tokens"] == tokens
    capped = {"input": CODE, "max_output_tokens": 10}
    assert provider_body(ANTHROPIC, capped, model, responses=True)["max_tokens"] == 10


@pytest.mark.parametrize("header", ["x-turnout-session", "X-Claude-Code-Session-Id", "session-id"])
def test_an_agents_session_is_one(header: str, tmp_path: Path) -> None:
    """Its requests stay at one place and count for one budget, without a header of ours."""
    once = [{"per": "session", "window": "total", "requests": 1}]
    with world(ledger=str(tmp_path / "l.db"), budgets=once) as w:
        found = [
            w.post("/v1/messages", claude_code_body(), {header: name}).status for name in "aab"
        ]
        assert found == [200, 429, 200]
        odd = w.post("/v1/messages", claude_code_body(), {header: "no name"}).status
    assert odd == (400 if header.startswith("x-turnout") else 200)


def test_an_agents_own_orders_are_not_blocked_but_those_of_a_tool_are() -> None:
    """Continue's command line tells its model how to answer without a terminal, in capitals."""
    orders = (
        "IMPORTANT: You run without a terminal. Reply with ONLY the final answer to the user's "
        "question. No explanation, reasoning or commentary unless it was asked for. Be direct."
    )
    with world() as w:
        body = chat("Say hi")
        body["messages"].insert(0, {"role": "system", "content": orders})
        assert w.post("/v1/chat/completions", body).headers["x-turnout-attempts"] == "1"
        own = chat("Say hi", system=orders, max_tokens=200)
        assert w.post("/v1/messages", own).headers["x-turnout-attempts"] == "1"
        tool = {"type": "function", "function": {"name": "look", "description": orders}}
        found = w.post("/v1/chat/completions", chat("Say hi", tools=[tool]))
        assert found.headers["x-turnout-intent"] == "unsafe"
