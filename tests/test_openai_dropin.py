"""Changing one import is enough: chat.completions.create works, and nothing else pretends to."""

import json
from collections.abc import AsyncIterator, Iterator
from operator import attrgetter
from typing import Any

import pytest

from tests.runtime.world import CODE, MODELS, STORY, router
from turnout import AsyncOpenAI, ConfigError, InvalidRequest, OpenAI
from turnout.openai import Record
from turnout.testing import FaultyUpstream

ASKED = [{"role": "user", "content": f"{CODE} (nonce: n1)"}]


@pytest.fixture
def client() -> Iterator[OpenAI]:
    """A client over the recipe at a local provider."""
    with FaultyUpstream() as upstream:
        found = OpenAI(router=router(upstream))
        yield found
        found.close()


@pytest.fixture
async def aclient() -> AsyncIterator[AsyncOpenAI]:
    """The same for await."""
    async with FaultyUpstream() as upstream:
        found = AsyncOpenAI(router=router(upstream))
        yield found
        await found.close()


def test_an_answer_has_the_clients_attributes(client: OpenAI) -> None:
    """Fields are attributes, the model is the one that answered, and the decision is beside it."""
    answer = client.chat.completions.create(model="auto", messages=ASKED)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == MODELS["coder"]
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.decision.intent == "code"
    assert answer.receipt.cost_pico_usd > 0


def test_a_stream_adds_up_to_the_answer(client: OpenAI) -> None:
    """The deltas of a stream are the whole answer's text."""
    whole = client.chat.completions.create(model="auto", messages=ASKED)
    stream = client.chat.completions.create(model="auto", messages=ASKED, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text == whole.choices[0].message.content
    assert whole.choices[0].message.tool_calls is None
    assert whole.usage.prompt_tokens_details is None
    with pytest.raises(AttributeError, match="no field 'contents'"):
        _ = whole.choices[0].message.contents


def test_a_stream_is_a_context_with_its_account(client: OpenAI) -> None:
    """As OpenAI's is; one that is left early is settled, and ends."""
    asked = {"model": "auto", "messages": ASKED, "stream": True}
    with client.chat.completions.create(**asked) as stream:
        assert stream.decision.intent == "code"
        for chunk in stream:
            assert chunk.choices
    assert stream.reply.receipt.cost_pico_usd > 0
    with client.chat.completions.create(**asked) as left:
        next(left)
    assert list(left) == []
    assert left.reply.outcomes[-1].status == "cancelled"


async def test_the_asynchronous_client_does_the_same(aclient: AsyncOpenAI) -> None:
    """Awaited and streamed."""
    whole = await aclient.chat.completions.create(model="auto", messages=ASKED)
    stream = await aclient.chat.completions.create(model="auto", messages=ASKED, stream=True)
    text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text == whole.choices[0].message.content == stream.reply.text
    async with await aclient.chat.completions.create(
        model="auto", messages=ASKED, stream=True
    ) as left:
        assert (await anext(left)).choices
    assert left.reply.outcomes[-1].status == "cancelled"


def test_a_model_can_be_named(client: OpenAI) -> None:
    """Any other model than auto is that model."""
    story = [{"role": "user", "content": STORY}]
    assert client.chat.completions.create(model="fast", messages=story).model == MODELS["fast"]


@pytest.mark.parametrize(
    "path", ["embeddings", "models", "responses", "chat.threads", "chat.completions.parse"]
)
def test_whatever_is_missing_says_so(client: OpenAI, path: str) -> None:
    """An attribute that the drop-in lacks names what there is instead."""
    *before, last = path.split(".")
    found = attrgetter(".".join(before))(client) if before else client
    with pytest.raises(AttributeError, match=r"only chat\.completions\.create"):
        getattr(found, last)


def test_arguments_for_the_provider_are_refused(client: OpenAI) -> None:
    """A key and an address come from the configuration; clients end with their context."""
    with pytest.raises(ConfigError, match="api_key, base_url: not taken here"):
        OpenAI(router=client.router, api_key="k", base_url="http://h")
    with OpenAI(router=client.router) as same:
        assert same.chat.completions.create(model="fast", messages=ASKED).choices


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"config": {"models": {}}}, "file has the type dict; give its path"),
        ({"config": 0}, "file has the type int; give its path"),
        ({"router": "turnout.yaml"}, "router has the type str; give a turnout.Router"),
        ({"router": {}}, "router has the type dict"),
    ],
)
def test_what_is_no_router_and_no_file_is_refused(given: dict[str, Any], said: str) -> None:
    """With what was given and what is wanted."""
    for kind in (OpenAI, AsyncOpenAI):
        with pytest.raises(ConfigError, match=said):
            kind(**given)


def test_a_file_beside_a_router_is_refused(client: OpenAI) -> None:
    """It would be ignored."""
    with pytest.raises(ConfigError, match="leave one out"):
        OpenAI(router=client.router, config="turnout.yaml")


def test_an_answer_can_be_written_and_sent_back(client: OpenAI) -> None:
    """As JSON without what is known of it here; its message is one of the next request's."""
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    answer = client.chat.completions.create(model="fast", messages=ASKED, tools=tools)
    message = answer.choices[0].message
    assert json.loads(answer.model_dump_json(indent=2)) == json.loads(json.dumps(answer))
    assert "decision" not in answer.model_dump(mode="json", exclude_unset=True)
    assert type(answer.model_dump()["choices"][0]["message"]) is dict
    assert Record(content=None, refusal=None, role="user").model_dump(exclude_none=True) == {
        "role": "user"
    }
    for said in (message, message.model_dump(exclude_none=True)):
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "done"}
        again = client.chat.completions.create(model="fast", messages=[*ASKED, said, result])
        assert again.choices[0].message.content


class NotGiven:
    """Stands for the class in OpenAI's package, of the value for an argument that is not given."""


class Omit(NotGiven):
    """Its newer name."""


def test_what_a_call_says_to_the_client_is_not_sent(client: OpenAI) -> None:
    """``extra_body`` is part of the body; numbers of tokens are names in JSON."""
    body = {"model": "fast", "messages": ASKED, "logit_bias": {50256: -100}}
    with FaultyUpstream() as upstream, OpenAI(router=router(upstream)) as other:
        other.chat.completions.create(**body, extra_body={"top_k": 5}, timeout=None)
        sent = json.loads(upstream.requests[-1].body)
        other.chat.completions.create(
            model="fast", messages=ASKED, seed=Omit(), stream=NotGiven(), timeout=NotGiven()
        )
        assert "seed" not in json.loads(upstream.requests[-1].body)
    assert (sent["top_k"], sent["logit_bias"]) == (5, {"50256": -100})
    assert not {"extra_body", "timeout"} & set(sent)
    with pytest.raises(InvalidRequest, match="timeout, extra_headers: not taken here"):
        client.chat.completions.create(**body, timeout=30, extra_headers={"x": "y"})


def test_bad_arguments_are_refused(client: OpenAI) -> None:
    """A stream that is neither true nor false, and messages that are none."""
    with pytest.raises(InvalidRequest, match="stream is 'yes'"):
        client.chat.completions.create(model="auto", messages=ASKED, stream="yes")
    with pytest.raises(InvalidRequest, match="messages"):
        client.chat.completions.create(model="auto", messages=[])
