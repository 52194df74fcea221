"""The faulty upstream, spoken to with nothing but an HTTP client."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import pytest
from aiohttp import ClientError, ClientSession
from pydantic import BaseModel, Field

from tests.fuzz.test_leaves import variants
from tests.waiting import soon_here
from turnout.testing import FaultyUpstream
from turnout.testing.answers import prompt_tokens, tokens_of


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    """An HTTP client."""
    async with ClientSession() as session:
        yield session


async def ask(
    client: ClientSession,
    upstream: FaultyUpstream,
    model: str,
    text: str = "nonce: n1",
    **body: Any,
) -> tuple[int, Any]:
    """Status and JSON of one chat call."""
    asked = {"model": model, "messages": [{"role": "user", "content": text}], **body}
    async with client.post(f"{upstream.base_url}/chat/completions", json=asked) as response:
        return response.status, await response.json(content_type=None)


async def test_an_honest_name_gets_an_honest_answer(client: ClientSession) -> None:
    """The answer names model and nonce, its usage counts its own tokens, and it is repeatable."""
    async with FaultyUpstream() as upstream:
        status, first = await ask(client, upstream, "acme/small")
        _, second = await ask(client, upstream, "acme/small")
    message = first["choices"][0]["message"]
    assert status == 200
    assert message["content"].startswith("acme/small answers n1:")
    assert message == second["choices"][0]["message"]
    assert first["usage"]["completion_tokens"] == len(tokens_of(message["content"]))
    assert first["usage"]["prompt_tokens"] == len(tokens_of("user")) + len(tokens_of("nonce: n1"))


async def test_different_prompts_get_different_answers(client: ClientSession) -> None:
    """The text depends on the prompt."""
    async with FaultyUpstream() as upstream:
        answers = [await ask(client, upstream, "m", text) for text in ("one", "two")]
    texts = {answer["choices"][0]["message"]["content"] for _, answer in answers}
    assert len(texts) == 2


async def test_the_invoice_says_what_was_done(client: ClientSession) -> None:
    """An entry per call, with the request's id, its nonce, and the tokens really produced."""
    async with FaultyUpstream() as upstream:
        _, answer = await ask(client, upstream, "acme/small")
        await ask(client, upstream, "f-500")
        done, failed = upstream.invoice
    assert (done.nonce, done.model, done.status, done.finished) == ("n1", "acme/small", 200, True)
    assert done.completion_tokens == answer["usage"]["completion_tokens"]
    assert done.usage_sent
    assert (failed.status, failed.prompt_tokens, failed.completion_tokens) == (500, 0, 0)


async def test_a_closed_peer_stops_the_work_and_is_noted(client: ClientSession) -> None:
    """Tokens are billed up to where the peer was gone, within a token or so."""
    asked = {"model": "f-drip20ms-tokens200", "messages": [], "stream": True}
    async with FaultyUpstream() as upstream:
        url = f"{upstream.base_url}/chat/completions"
        async with client.post(url, json=asked) as response:
            await response.content.readuntil(b"answers")
            response.close()
        await asyncio.sleep(0.2)
        (entry,) = upstream.invoice
    assert entry.peer_closed_after is not None
    assert entry.completion_tokens == entry.peer_closed_after
    assert entry.completion_tokens < 10
    assert not entry.usage_sent


async def test_a_refused_call_ends_also_if_its_peer_is_gone(client: ClientSession) -> None:
    """Who waits until nothing is under way would wait for it forever."""
    asked = {"model": "f-500-slow5s", "messages": []}
    async with FaultyUpstream() as upstream:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.post(f"{upstream.base_url}/chat/completions", json=asked)
        assert await soon_here(lambda: upstream.invoice and upstream.invoice[0].ended_s, 3)


async def test_a_provider_that_bills_anyway(client: ClientSession) -> None:
    """With billall the whole answer is on the invoice, though the peer has left."""
    asked = {"model": "f-billall-drip20ms-tokens50", "messages": [], "stream": True}
    async with FaultyUpstream() as upstream:
        async with client.post(f"{upstream.base_url}/chat/completions", json=asked) as response:
            await response.content.readuntil(b"answers")
            response.close()
        await asyncio.sleep(0.2)
        (entry,) = upstream.invoice
    assert entry.peer_closed_after is not None
    assert entry.completion_tokens == 50


async def test_requests_are_recorded_as_they_arrived(client: ClientSession) -> None:
    """Bodies and headers can be looked at."""
    async with FaultyUpstream() as upstream:
        await ask(client, upstream, "acme/small", x_unknown=[1])
        (seen,) = upstream.requests
    assert seen.json()["x_unknown"] == [1]
    assert seen.headers["content-type"] == "application/json"


async def test_it_fails_first_and_works_then(client: ClientSession) -> None:
    """fails=2 means two failures for this model, whatever happens to others."""
    async with FaultyUpstream() as upstream:
        statuses = [(await ask(client, upstream, "f-503-fails=2"))[0] for _ in range(4)]
        other, _ = await ask(client, upstream, "f-500-fails=1")
    assert statuses == [503, 503, 200, 200]
    assert other == 500


async def test_an_honest_name_can_be_given_a_script(client: ClientSession) -> None:
    """A running upstream can be told to fail for a model, and to recover."""
    async with FaultyUpstream(scripts={"acme/large": "f-429-ra5"}) as upstream:
        broken, _ = await ask(client, upstream, "acme/large")
        del upstream.scripts["acme/large"]
        mended, _ = await ask(client, upstream, "acme/large")
    assert (broken, mended) == (429, 200)


async def test_tools_are_called_and_their_results_answered(client: ClientSession) -> None:
    """Arguments fit the schema; after a tool's result there is text."""
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    }
    tools = [{"type": "function", "function": {"name": "weather", "parameters": schema}}]
    async with FaultyUpstream() as upstream:
        _, answer = await ask(client, upstream, "m", tools=tools)
        made = answer["choices"][0]["message"]["tool_calls"][0]
        messages = [
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": None, "tool_calls": [made]},
            {"role": "tool", "tool_call_id": made["id"], "content": "rain"},
        ]
        _, after = await ask(client, upstream, "m", tools=tools, messages=messages)
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    assert made["function"]["name"] == "weather"
    assert json.loads(made["function"]["arguments"]) == {"city": "n1", "days": 1}
    assert after["choices"][0]["finish_reason"] == "stop"
    assert after["choices"][0]["message"]["content"]


async def test_json_and_reasoning_are_given_when_asked_for(client: ClientSession) -> None:
    """JSON fits the schema; reasoning has its field and its count."""
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    async with FaultyUpstream() as upstream:
        _, answer = await ask(client, upstream, "m", response_format=wanted)
        _, thought = await ask(client, upstream, "m", reasoning_effort="low")
    assert json.loads(answer["choices"][0]["message"]["content"]) == {"ok": True}
    assert thought["choices"][0]["message"]["reasoning_content"]
    assert thought["usage"]["completion_tokens_details"]["reasoning_tokens"] > 0


class _Node(BaseModel):
    kind: Literal["leaf", "branch"]
    weight: float | None
    label: Annotated[str, Field(description="d")]
    parts: list["_Node"]
    above: "_Node | None"


async def test_json_fits_the_schemas_that_clients_generate(client: ClientSession) -> None:
    """References, alternatives, constants and a type that contains itself."""
    schema = _Node.model_json_schema()
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    async with FaultyUpstream() as upstream:
        _, answer = await ask(client, upstream, "m", response_format=wanted)
    node = _Node.model_validate_json(answer["choices"][0]["message"]["content"])
    assert node.parts[0].kind == "leaf"
    assert node.above is not None


async def test_the_callers_cap_is_kept(client: ClientSession) -> None:
    """max_tokens cuts the answer, which says so."""
    async with FaultyUpstream() as upstream:
        _, answer = await ask(client, upstream, "m", max_tokens=4)
    assert answer["usage"]["completion_tokens"] == 4
    assert answer["choices"][0]["finish_reason"] == "length"


async def test_usage_is_streamed_only_when_asked_for(client: ClientSession) -> None:
    """Like OpenAI's, a stream has usage with include_usage and not otherwise."""
    found = []
    async with FaultyUpstream() as upstream:
        for options in ({}, {"stream_options": {"include_usage": True}}):
            asked = {"model": "m", "messages": [], "stream": True, **options}
            url = f"{upstream.base_url}/chat/completions"
            async with client.post(url, json=asked) as response:
                found.append(b'"usage"' in await response.read())
        assert [entry.usage_sent for entry in upstream.invoice] == [False, True]
    assert found == [False, True]


async def test_keys_are_checked_where_one_is_set(client: ClientSession) -> None:
    """Another key is refused with 401."""
    async with FaultyUpstream(api_key="right") as upstream:
        url = f"{upstream.base_url}/models"
        statuses = []
        for key in ("wrong", "right"):
            headers = {"Authorization": f"Bearer {key}"}
            async with client.get(url, headers=headers) as response:
                statuses.append(response.status)
    assert statuses == [401, 200]


async def test_models_are_listed_and_other_paths_are_not(client: ClientSession) -> None:
    """GET /v1/models gives OpenAI's list; unknown paths and broken bodies are errors."""
    async with FaultyUpstream(models=("a", "b")) as upstream:
        async with client.get(f"{upstream.base_url}/models") as response:
            listed = await response.json()
        async with client.get(f"{upstream.base_url}/nothing") as response:
            missing = response.status
        async with client.post(f"{upstream.base_url}/chat/completions", data=b"{") as response:
            broken = response.status
    assert [model["id"] for model in listed["data"]] == ["a", "b"]
    assert (missing, broken) == (404, 400)


USER = {"role": "user", "content": "nonce: n1"}
FUNCTION = {"name": "f", "parameters": {"type": "object", "properties": {}}}
BODIES: dict[str, dict[str, Any]] = {
    "chat/completions": {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 9,
        "tools": [{"type": "function", "function": FUNCTION}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "messages": [USER],
    },
    "messages": {
        "model": "m",
        "max_tokens": 9,
        "tools": [{"name": "f", "input_schema": FUNCTION["parameters"]}],
        "thinking": {"type": "adaptive"},
        "messages": [USER],
    },
    "responses": {
        "model": "m",
        "store": False,
        "tools": [{"type": "function", **FUNCTION}],
        "reasoning": {"effort": "low"},
        "include": ["reasoning.encrypted_content"],
        "input": [USER],
    },
    "embeddings": {"model": "m", "input": ["a", [1, 2]], "dimensions": 4},
}


@pytest.mark.parametrize("path", BODIES)
async def test_whatever_has_another_type_is_answered(client: ClientSession, path: str) -> None:
    """By a 400 where it cannot be read, as a provider does; no connection is just closed."""
    seen: set[int] = set()
    async with FaultyUpstream() as upstream:
        for body in variants(BODIES[path]):
            async with client.post(f"{upstream.base_url}/{path}", json=body) as response:
                await response.read()
                seen.add(response.status)
        odd = {**BODIES[path], "model": 7}
        async with client.post(f"{upstream.base_url}/{path}", json=odd) as response:
            assert "error" in await response.json()
    assert seen == {200, 400}


async def test_an_unknown_fault_is_named(client: ClientSession) -> None:
    """A misspelt script is told to the one who wrote it."""
    async with FaultyUpstream() as upstream:
        status, answer = await ask(client, upstream, "f-resett@3")
    assert status == 400
    assert "'resett@3' is no fault" in answer["error"]["message"]


async def test_a_reset_is_a_reset(client: ClientSession) -> None:
    """The peer sees the connection break, and the tokens before it are billed."""
    async with FaultyUpstream() as upstream:
        with pytest.raises(ClientError):
            await ask(client, upstream, "f-reset@3", stream=True)
        (entry,) = upstream.invoice
    assert entry.completion_tokens == 3
    assert not entry.finished


def test_it_runs_in_a_thread_and_ends_with_its_block() -> None:
    """The blocking form serves a client without an event loop, and leaves no server behind."""

    async def ask_once(upstream: FaultyUpstream) -> int:
        async with ClientSession() as session:
            return (await ask(session, upstream, "m"))[0]

    with FaultyUpstream() as upstream:
        assert asyncio.run(ask_once(upstream)) == 200
    with pytest.raises(ClientError):
        asyncio.run(ask_once(upstream))


def test_it_runs_as_a_command() -> None:
    """The module prints where it listens."""
    command = [sys.executable, "-m", "turnout.testing.upstream", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        line = running.stdout.readline()
        running.terminate()
        _, complaints = running.communicate()
    assert not complaints
    assert line.startswith("listening on http://127.0.0.1:")


def test_tokens_join_to_the_text() -> None:
    """Counting loses nothing: the tokens put together are the text."""
    text = "Grüß Gott,  42 trains\n(late)!  "
    assert "".join(tokens_of(text)) == text
    assert prompt_tokens({}) == 1


@pytest.mark.parametrize("turns", range(6))
async def test_connections_that_end_with_the_server_are_no_errors(turns: int) -> None:
    """However far a connection has come when it is cancelled, nothing is reported."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    async with FaultyUpstream() as upstream:
        _, writer = await asyncio.open_connection("127.0.0.1", upstream.port)
        assert await soon_here(lambda: upstream.open_connections)
        writer.close()
        for _ in range(turns):
            await asyncio.sleep(0)
    assert reported == []
