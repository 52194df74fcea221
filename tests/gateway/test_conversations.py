"""Responses that a later request names: what clients of OpenAI's send instead of a conversation."""

import asyncio
import http.client
import json
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.world import Answer, World, world
from turnout.gateway import kept_answers
from turnout.gateway.access import Access
from turnout.ledger import store_at

PATH = "/v1/responses"
KEY, OTHER = "a-key-of-forty-characters-for-these-tests", "another-key-of-forty-characters-for-them"
FAMILIES = ["openai", "anthropic", "openai-responses"]
TOOL = {
    "type": "function",
    "name": "find",
    "parameters": {"type": "object", "properties": {"what": {"type": "string"}}},
}


def ask(w: World, said: object, *, key: str = "", **more: Any) -> Answer:
    """One request to the model ``coder``."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return w.post(PATH, {"model": "coder", "input": said, **more}, headers)


def response_of(answer: Answer) -> dict[str, Any]:
    """The response, whole or from its stream's last event."""
    assert answer.status == 200, answer.body
    if answer.headers["content-type"].startswith("text/event-stream"):
        return dict(json.loads(answer.events()[-1][1])["response"])
    return dict(answer.json())


def last_provider_body(w: World) -> str:
    """The last body that the provider got."""
    return w.upstream.requests[-1].body.decode()


def appear_in_order(text: str, *words: str) -> bool:
    """Whether these words stand in the text one after the other."""
    places = [text.find(word) for word in words]
    return -1 not in places and places == sorted(places)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_request_that_names_the_answer_before_it_stands_on_the_whole_conversation(
    family: str, *, stream: bool
) -> None:
    """The provider is sent every turn in its order, as if the caller had sent them."""
    with world(family=family) as w:
        first = response_of(ask(w, "First, nonce: n1", stream=stream))
        second = response_of(
            ask(w, "Second, nonce: n2", previous_response_id=first["id"], stream=stream)
        )
        third = ask(w, [{"role": "user", "content": "Third"}], previous_response_id=second["id"])
        assert third.status == 200
        assert appear_in_order(
            last_provider_body(w), "First", "answers n1", "Second", "answers n2", "Third"
        )


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_says_what_it_follows_and_whether_it_is_kept(
    family: str, *, stream: bool
) -> None:
    """Clients read both from the body to know how to go on."""
    with world(family=family) as w:
        first = response_of(ask(w, "First, nonce: n1", stream=stream))
        assert (first["store"], first["previous_response_id"]) == (True, None)
        after = {"previous_response_id": first["id"], "stream": stream}
        second = response_of(ask(w, "Second, nonce: n2", **after))
        assert (second["store"], second["previous_response_id"]) == (True, first["id"])
        third = response_of(ask(w, "Third, nonce: n3", **after, store=False))
        assert (third["store"], third["previous_response_id"]) == (False, first["id"])
        assert ask(w, "Fourth", previous_response_id=third["id"]).status == 400


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_that_is_too_large_to_be_kept_says_so(
    family: str, monkeypatch: pytest.MonkeyPatch, *, stream: bool
) -> None:
    """At its end, and under an Idempotency-Key too: a client then sends the whole input."""
    monkeypatch.setattr(kept_answers, "MOST_BYTES", 10)
    with world(family=family) as w:
        body = {"model": "coder", "input": "First, nonce: n1", "stream": stream}
        for _ in range(2):
            answer = w.post(PATH, body, {"idempotency-key": "once"})
            first = response_of(answer)
            assert (first["store"], first["status"]) == (False, "completed")
            assert "answers n1" in json.dumps(first["output"])
        assert ask(w, "Second", previous_response_id=first["id"]).status == 400


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stream_ends_well_whatever_its_answer_says(family: str) -> None:
    """What looks like an event in a text is none."""
    asked = {"instructions": "Answer as events: data: {}\n\ndata: [DONE]", "stream": True}
    with world(family=family) as w:
        first = response_of(ask(w, "data: First", **asked))
        assert first["store"] is True
        assert ask(w, "Second", previous_response_id=first["id"]).status == 200


@pytest.mark.parametrize("family", FAMILIES)
def test_who_has_read_the_last_event_can_name_the_answer(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It leaves once the answer is kept, whichever provider's event it is."""
    puts: list[str] = []
    put = kept_answers.CallersAnswers.put

    async def put_slowly(self: Any, ident: str, record: Any) -> bool:
        await asyncio.sleep(0.2)
        puts.append(ident)
        return await put(self, ident, record)

    monkeypatch.setattr(kept_answers.CallersAnswers, "put", put_slowly)
    with world(family=family) as w:
        link = http.client.HTTPConnection("127.0.0.1", w.port, timeout=20)
        body = {"model": "coder", "input": "First", "stream": True}
        link.request("POST", PATH, json.dumps(body), {"content-type": "application/json"})
        lines = iter(link.getresponse().readline, b"")
        assert any(line.startswith(b"event: response.completed") for line in lines)
        assert puts
        link.close()


def test_a_decision_alone_is_made_on_the_whole_conversation_too() -> None:
    """As the same request would be answered; nothing is kept of it."""
    with world() as w:
        first = response_of(ask(w, "word " * 500))
        for more in (
            {"input": "Second", "previous_response_id": first["id"]},
            {"input": [{"type": "item_reference", "id": first["output"][0]["id"]}]},
        ):
            body = {"model": "coder", **more}
            told = w.post("/v1/route", body)
            assert told.status == 200, told.body
            served = w.post(PATH, body).headers["x-turnout-decision"]
            made = w.get(f"/v1/decisions/{served}").json()
            assert told.json()["features"] == made["features"]
        missing = {"model": "coder", "input": "Second", "previous_response_id": "resp_nonsense"}
        assert w.post("/v1/route", missing).json()["error"]["code"] == "previous_response_not_found"


def test_results_of_tools_find_the_calls_that_were_answered_before() -> None:
    """Agents send the result alone and name the answer that held the call."""
    with world() as w:
        first = response_of(ask(w, "Look it up, nonce: n1", tools=[TOOL]))
        call = next(item for item in first["output"] if item["type"] == "function_call")
        result = {"type": "function_call_output", "call_id": call["call_id"], "output": "found it"}
        again = ask(w, [result], tools=[TOOL], previous_response_id=first["id"])
        assert response_of(again)["output"][0]["type"] == "message"
        assert appear_in_order(last_provider_body(w), "Look it up", '"tool_calls"', "found it")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_reference_stands_for_the_item_that_was_answered(family: str, *, stream: bool) -> None:
    """The AI SDK sends references to all that an answer held, unless it is told store: false."""
    with world(family=family) as w:
        asked = {"role": "user", "content": "Look it up, nonce: n1"}
        first = response_of(ask(w, [asked], tools=[TOOL], stream=stream))
        call = first["output"][0]
        result = {"type": "function_call_output", "call_id": call["call_id"], "output": "found it"}
        items = [asked, {"type": "item_reference", "id": call["id"]}, result]
        second = response_of(ask(w, items, tools=[TOOL], stream=stream))
        said = {"type": "item_reference", "id": second["output"][0]["id"]}
        third = ask(w, [*items, said, {"role": "user", "content": "And then?"}], tools=[TOOL])
        assert third.status == 200, third.body
        assert appear_in_order(
            last_provider_body(w), "Look it up", call["call_id"], "found it", "answers", "And then?"
        )


@pytest.mark.parametrize("case", ["not stored", "unknown", "of another caller", "an item"])
def test_an_answer_that_is_not_there_is_named(case: str) -> None:
    """Nothing is guessed: the caller is told which answer is missing and what to send instead."""
    with world(access=Access([KEY, OTHER])) as w:
        first = response_of(ask(w, "First", key=KEY, store=case != "not stored"))
        named = {"unknown": "resp_nonsense", "an item": first["output"][0]["id"]}
        body = {"previous_response_id": named.get(case, first["id"])}
        answer = ask(w, "Second", key=OTHER if case == "of another caller" else KEY, **body)
        assert len(w.upstream.requests) == 1
    error = answer.json()["error"]
    assert answer.status == 400
    assert (error["code"], error["param"]) == (
        "previous_response_not_found",
        "previous_response_id",
    )
    assert "store: false" in error["message"]


@pytest.mark.parametrize("given", [5, ["resp_x"], False, {"id": "resp_x"}])
def test_an_answers_id_is_a_text(given: object) -> None:
    """Another type is named as what it is."""
    with world() as w:
        answer = ask(w, "Second", previous_response_id=given)
        assert not w.upstream.requests
    error = answer.json()["error"]
    assert (answer.status, error["param"]) == (400, "previous_response_id")
    assert (
        error["message"] == f"previous_response_id is {given!r}; use the id of an answer, as text"
    )


def test_answers_outlive_the_process_in_the_ledger_and_are_read_by_nobody(tmp_path: Path) -> None:
    """Any worker and the next start know them, and its file holds no word of them."""
    path = tmp_path / "ledger.db"
    with world(access=Access([KEY]), ledger=str(path)) as w:
        first = response_of(ask(w, "A secretive question", key=KEY))
    with world(access=Access([KEY]), ledger=str(path)) as w:
        assert ask(w, "Second", key=KEY, previous_response_id=first["id"]).status == 200
        assert appear_in_order(last_provider_body(w), "A secretive question", "Second")
    assert store_at(path).fetch("SELECT count(*) FROM replays") == [(2,)]
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert b"secretive" not in files


def test_without_keys_no_answer_leaves_the_process(tmp_path: Path) -> None:
    """What anybody could open is not written down."""
    path = tmp_path / "ledger.db"
    with world(ledger=str(path)) as w:
        first = response_of(ask(w, "First"))
        assert ask(w, "Second", previous_response_id=first["id"]).status == 200
    assert store_at(path).fetch("SELECT count(*) FROM replays") == [(0,)]


def test_a_conversation_is_kept_beside_an_idempotency_key() -> None:
    """A request that is sent twice has one answer, and that one can be named."""
    with world() as w:
        headers = {"idempotency-key": "once"}
        body = {"model": "coder", "input": "First, nonce: n1"}
        first, again = (w.post(PATH, body, headers) for _ in range(2))
        assert again.headers["idempotent-replayed"] == "true"
        ident = response_of(again)["id"]
        assert ident == response_of(first)["id"]
        more = {"model": "coder", "input": "Second", "previous_response_id": ident}
        assert w.post(PATH, more, {"idempotency-key": "twice"}).status == 200
        assert appear_in_order(last_provider_body(w), "First", "answers n1", "Second")


@pytest.mark.parametrize("stream", [False, True])
def test_an_exact_answer_from_the_cache_can_be_named_too(*, stream: bool) -> None:
    """The cache's own copy, whole or a stream, comes as it was, and the next turn stands on it."""
    with world(cache={"ttl_s": 60}) as w:
        first = ask(w, "First, nonce: n1", stream=stream)
        again = ask(w, "First, nonce: n1", stream=stream)
        assert (again.status, again.headers.get("x-turnout-cache")) == (200, "hit")
        assert again.body == first.body
        named = response_of(again)["id"]
        assert ask(w, "Second", previous_response_id=named).status == 200
        assert appear_in_order(last_provider_body(w), "First", "n1", "Second")
