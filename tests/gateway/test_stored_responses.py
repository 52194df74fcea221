"""Kept answers of Responses: they are fetched, listed with their input, and deleted."""

import http.client
import json
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.test_conversations import (
    FAMILIES,
    KEY,
    OTHER,
    PATH,
    TOOL,
    ask,
    response_of,
)
from tests.gateway.world import Answer, World, world
from tests.ledger.conftest import running_postgres
from tests.runtime.world import config
from tests.waiting import soon
from turnout.gateway.access import Access
from turnout.ledger import store_at
from turnout.testing import FaultyUpstream, responses_wire, serving

ADMIN = {"x-api-key": "admin-key-0123456789"}


def at(ident: str, more: str = "") -> str:
    """The path of an answer, or of what is below it."""
    return f"{PATH}/{ident}{more}"


def bearer(key: str) -> dict[str, str]:
    """Headers with this key."""
    return {"authorization": f"Bearer {key}"}


def fetch(w: World, ident: str, key: str = "") -> Answer:
    """What is kept under this id."""
    return w.get(at(ident), bearer(key) if key else {})


def delete(w: World, ident: str, key: str = "") -> Answer:
    """Deletes what is kept under this id."""
    return w.send("DELETE", at(ident), None, bearer(key) if key else {})


def items_of(w: World, ident: str, query: str = "") -> dict[str, Any]:
    """The list of an answer's input."""
    listed = w.get(at(ident, f"/input_items?{query}"))
    assert listed.status == 200, listed.body
    return dict(listed.json())


def error_of(answer: Answer) -> tuple[int, dict[str, Any]]:
    """The status and the error, in OpenAI's form."""
    error = answer.json()["error"]
    assert {"message", "type", "code", "param"} <= error.keys()
    return answer.status, error


ASKED: list[dict[str, Any]] = [
    {"metadata": {"job": "n7"}, "instructions": "Be short.", "temperature": 0.5},
    {"tools": [TOOL], "tool_choice": "auto", "user": "somebody"},
    {"max_output_tokens": 2},
]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_fetched_is_what_was_sent(family: str, *, stream: bool) -> None:
    """Every field: model, usage, items, and what the request had said; whatever was translated."""
    with world(family=family) as w:
        before = None
        for number, more in enumerate(ASKED):
            named = {"previous_response_id": before} if before else {}
            got = response_of(ask(w, f"Go, nonce: n{number}", stream=stream, **named, **more))
            for _ in range(2):
                fetched = fetch(w, got["id"])
                assert fetched.status == 200
                assert fetched.json() == got
            if "tools" not in more:
                before = got["id"]
        assert len(w.upstream.requests) == len(ASKED)
        assert w.send("HEAD", at(got["id"]), None).body == b""


@pytest.mark.parametrize("family", FAMILIES)
def test_a_deleted_answer_is_gone_everywhere(family: str) -> None:
    """It is not fetched, not listed and not named, nor are its items, nor what stood on it."""
    with world(family=family) as w:
        first = response_of(ask(w, "First, nonce: n1"))
        second = response_of(ask(w, "Second", previous_response_id=first["id"]))
        said = delete(w, first["id"])
        assert said.json() == {"id": first["id"], "object": "response", "deleted": True}
        calls = len(w.upstream.requests)
        for gone in (
            fetch(w, first["id"]), delete(w, first["id"]), w.get(at(first["id"], "/input_items")),
            w.send("POST", at(first["id"], "/cancel"), None),
        ):  # fmt: skip
            status, error = error_of(gone)
            assert (status, error["code"]) == (404, "not_found")
            assert f"{first['id']!r} is not kept here" in error["message"]
        for ident in (first["id"], second["id"]):
            error = ask(w, "Third", previous_response_id=ident).json()["error"]
            assert error["code"] == "previous_response_not_found"
            assert repr(first["id"]) in error["message"]
        reference = {"type": "item_reference", "id": first["output"][-1]["id"]}
        assert ask(w, [reference, {"role": "user", "content": "Third"}]).status == 400
        assert len(w.upstream.requests) == calls
        assert fetch(w, second["id"]).json() == second
        status, error = error_of(w.get(at(second["id"], "/input_items")))
        assert status == 404
        assert f"{second['id']!r} follows {first['id']!r}, which is not kept" in error["message"]


def test_only_who_asked_finds_an_answer(tmp_path: Path) -> None:
    """Another key, another tenant and an administrator get a 404; a revoked key gets a 401."""
    with world(access=Access(admin=ADMIN["x-api-key"]), ledger=str(tmp_path / "l.db")) as w:
        made = [
            w.post("/v1/keys", {"name": "test", "team": team}, ADMIN).json()
            for team in ("a", "a", "b")
        ]
        mine, *others = (key["key"] for key in made)
        got = response_of(ask(w, "A secretive question, nonce: n1", key=mine))
        for other in (*others, ADMIN["x-api-key"]):
            assert fetch(w, got["id"], other).status == 404
            assert delete(w, got["id"], other).status == 404
            assert w.get(at(got["id"], "/input_items"), bearer(other)).status == 404
        assert fetch(w, got["id"], mine).json() == got
        assert fetch(w, got["id"], "tnk_wrong").status == 401
        w.send("DELETE", f"/v1/keys/{made[0]['id']}", None, ADMIN)
        assert soon(lambda: fetch(w, got["id"], mine).status == 401)
        assert delete(w, got["id"], mine).status == 401
        assert w.get(at(got["id"], "/input_items"), bearer(mine)).status == 401
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir() if file.is_file())
    assert b"secretive" not in files
    assert got["id"].encode() not in files


def test_a_fetched_answer_is_no_request_of_a_model(tmp_path: Path) -> None:
    """A key that may make no further request still reads what it has, and nothing is recorded."""
    path = tmp_path / "l.db"
    with world(access=Access(admin=ADMIN["x-api-key"]), ledger=str(path)) as w:
        budgets = [{"window": "day", "requests": 1}]
        key = w.post("/v1/keys", {"name": "test", "budgets": budgets}, ADMIN).json()["key"]
        got = response_of(ask(w, "First", key=key))
        assert ask(w, "Second", key=key).status == 429
        for _ in range(3):
            fetched = fetch(w, got["id"], key)
            assert fetched.json() == got
            assert not [name for name in fetched.headers if name.startswith("x-turnout-")]
            assert w.get(at(got["id"], "/input_items"), bearer(key)).status == 200
        assert delete(w, got["id"], key).status == 200
        assert len(w.upstream.requests) == 1
        standing = w.get("/v1/budgets", bearer(key)).json()["data"][0]
        assert (standing["spent"], standing["left"]) == (1, 0)
    assert store_at(path).fetch("SELECT count(*) FROM requests") == [(1,)]
    assert store_at(path).fetch("SELECT count(*) FROM replays") == [(0,)]


def _expired(w: World, sql: str = "UPDATE replays SET expires_ms = 1") -> None:
    """The day of all that is kept is over; nothing has tidied up yet."""
    from turnout.ledger.entries import Change

    recorder: Any = w.gateway.engine.parts.means.recorder
    recorder.change(Change(sql, ()))


def test_an_answer_whose_day_is_over_is_gone(tmp_path: Path) -> None:
    """At once, though its row is removed later."""
    with world(access=Access([KEY]), ledger=str(tmp_path / "l.db")) as w:
        got = response_of(ask(w, "First", key=KEY))
        _expired(w)
        assert fetch(w, got["id"], KEY).status == 404
        assert ask(w, "Second", key=KEY, previous_response_id=got["id"]).status == 400


@pytest.mark.apt
def test_answers_in_postgres() -> None:
    """They are found, deleted and expire as in a file."""
    with running_postgres() as server:
        place = f"{server.url}/postgres"
        with world(access=Access([KEY, OTHER]), ledger=place) as w:
            first, second = (response_of(ask(w, "First", key=KEY, stream=s)) for s in (False, True))
        with world(access=Access([KEY, OTHER]), ledger=place) as w:
            assert fetch(w, first["id"], OTHER).status == 404
            assert fetch(w, first["id"], KEY).json() == first
            assert delete(w, first["id"], KEY).status == 200
            assert fetch(w, first["id"], KEY).status == 404
            assert fetch(w, second["id"], KEY).json() == second
            _expired(w)
            assert fetch(w, second["id"], KEY).status == 404


def test_any_worker_finds_and_deletes_what_another_one_kept(tmp_path: Path) -> None:
    """They share the ledger: an answer is the same at both, and gone at both."""
    with FaultyUpstream() as upstream:
        settings = config(upstream, ledger=str(tmp_path / "l.db"))
        with serving(settings, options=["--workers", "2"]) as served:
            admin = served.config_path.with_name("admin-token").read_text().strip()

            def call(method: str, path: str, key: str, body: object = None) -> tuple[int, Any]:
                link = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
                sent = None if body is None else json.dumps(body)
                link.request(method, path, sent, bearer(key))
                answer = link.getresponse()
                found = answer.status, json.loads(answer.read())
                link.close()
                return found

            key = call("POST", "/v1/keys", admin, {"name": "test"})[1]["key"]
            # The other worker knows the key within a second.
            asked = {"model": "coder", "input": "First"}
            assert soon(lambda: [call("GET", "/v1/models", key)[0] for _ in range(9)] == [200] * 9)
            answers = [call("POST", PATH, key, asked)[1] for _ in range(4)]
            for got in answers:
                assert [call("GET", at(got["id"]), key) for _ in range(9)] == [(200, got)] * 9
                assert call("DELETE", at(got["id"]), key)[0] == 200
                assert {call("GET", at(got["id"]), key)[0] for _ in range(9)} == {404}


def test_without_keys_each_caller_finds_what_the_same_words_name() -> None:
    """Nobody is known here: what a client sends as its key opens its answers, and no others."""
    with world() as w:
        got = response_of(ask(w, "First", key="unused"))
        assert fetch(w, got["id"], "unused").json() == got
        assert fetch(w, got["id"], "another").status == 404
        assert fetch(w, got["id"]).status == 404


@pytest.mark.parametrize("case", ["store", "too large", "refused", "broken"])
def test_what_is_not_kept_is_not_found(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the answer itself had said."""
    if case == "too large":
        monkeypatch.setattr("turnout.gateway.kept_answers.MOST_BYTES", 10)
    with world(models={"fast": "f-reset@4"}) as w:
        if case == "broken":
            broken = ask(w, "First", model="fast", stream=True)
            (failed,) = (json.loads(d) for name, d in broken.events() if name == "response.failed")
            ident = failed["response"]["id"]
        elif case == "refused":
            ident = "resp_" + "0" * 24
        else:
            got = response_of(ask(w, "First", **({"store": False} if case == "store" else {})))
            assert got["store"] is False
            ident = got["id"]
        assert fetch(w, ident).status == 404
        assert w.get(at(ident, "/input_items")).status == 404


def test_the_input_is_listed_with_all_that_came_before_it() -> None:
    """Each item has an id, which it keeps, and a text is a part, as OpenAI's clients read them."""
    with world() as w:
        first = response_of(ask(w, "First, nonce: n1"))
        given = [
            {"role": "developer", "content": "Mind the gap"},
            {"role": "assistant", "content": "I do"},
            {"role": "user", "content": [{"type": "input_text", "text": "Second"}]},
            {"type": "function_call", "call_id": "c1", "name": "find", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "found"},
        ]
        second = response_of(ask(w, given, tools=[TOOL], previous_response_id=first["id"]))
        alone = items_of(w, first["id"])
        assert [item["content"] for item in alone["data"]] == [
            [{"type": "input_text", "text": "First, nonce: n1"}]
        ]
        listed = items_of(w, second["id"], "order=asc")
        assert listed["object"] == "list"
        kinds = [(item["type"], item.get("role")) for item in listed["data"]]
        assert kinds == [
            ("message", "user"), ("message", "assistant"), ("message", "developer"),
            ("message", "assistant"), ("message", "user"), ("function_call", None),
            ("function_call_output", None),
        ]  # fmt: skip
        assert listed["data"][:2] == [alone["data"][0], first["output"][0]]
        assert listed["data"][3]["content"][0]["type"] == "output_text"
        assert {item["status"] for item in listed["data"]} == {"completed"}
        ids = [item["id"] for item in listed["data"]]
        assert len(set(ids)) == len(ids)
        assert (listed["first_id"], listed["last_id"]) == (ids[0], ids[-1])
        assert items_of(w, second["id"])["data"] == listed["data"][::-1]
        # What was listed can be sent: its own ids are no riddle to the next provider.
        assert ask(w, listed["data"], tools=[TOOL]).status == 200


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_of_the_input_hold_every_item_once(order: str) -> None:
    """However long they are, though the caller gave the same id twice."""
    given: list[Any] = [{"role": "user", "content": f"No. {n}"} for n in range(40)]
    given += [{"role": "user", "content": f"Again {n}", "id": "msg_mine"} for n in range(5)]
    with world() as w:
        got = response_of(ask(w, given))["id"]
        whole = items_of(w, got, f"order={order}&limit=100")["data"]
        assert len(whole) == 45
        assert len(items_of(w, got, f"order={order}")["data"]) == 20
        for limit in (1, 7, 44, 45):
            page = items_of(w, got, f"order={order}&limit={limit}")
            found = page["data"]
            while page["has_more"]:
                page = items_of(w, got, f"order={order}&limit={limit}&after={page['last_id']}")
                found += page["data"]
            assert found == whole
        back = items_of(w, got, f"order={order}&limit=2&before={whole[9]['id']}")
        assert back["data"] == whole[7:9]
        last = items_of(w, got, f"order={order}&after={whole[-1]['id']}")
        assert (last["data"], last["has_more"], last["first_id"]) == ([], False, None)


@pytest.mark.parametrize(
    ("query", "field", "said"),
    [
        ("order=up", "order", "order is 'up'; use asc or desc"),
        ("limit=0", "limit", "limit is '0'; use a whole number from 1 to 100"),
        ("limit=101", "limit", "limit is '101'; use"),
        ("after=msg_x", "after", "after is 'msg_x', which is not in the list"),
        ("after=a&before=b", "before", "send after or before, not both"),
    ],
)
def test_a_page_that_cannot_be_is_refused(query: str, field: str, said: str) -> None:
    """With the field, its value and what to write instead."""
    with world() as w:
        got = response_of(ask(w, "First"))["id"]
        status, error = error_of(w.get(at(got, f"/input_items?{query}")))
    assert (status, error["param"]) == (400, field)
    assert error["message"].startswith(said)


def test_what_is_not_offered_says_what_to_do() -> None:
    """A kept answer as a stream, an end to what has ended, and paths that there are not."""
    with world() as w:
        got = response_of(ask(w, "First"))["id"]
        assert w.get(at(got, "?stream=false&include[]=reasoning.encrypted_content")).status == 200
        status, error = error_of(w.get(at(got, "?stream=true&starting_after=3")))
        assert (status, error["param"]) == (400, "stream")
        assert "leave stream out" in error["message"]
        status, error = error_of(w.send("POST", at(got, "/cancel"), None))
        assert status == 400
        assert "close the connection" in error["message"]
        assert error_of(w.send("POST", at("resp_x", "/cancel"), None))[0] == 404
        status, error = error_of(w.post(at("compact"), {"model": "coder", "input": "x"}))
        assert status == 404
        assert "shorten the conversation yourself" in error["message"]
        assert error_of(w.get(at(got, "/nothing")))[0] == 404
        assert fetch(w, got).status == 200


@pytest.mark.parametrize("address", ["/openai/v1/responses", "/openai/responses"])
def test_azures_clients_find_answers_at_their_address(address: str) -> None:
    """With their version in the query."""
    with world() as w:
        got = response_of(ask(w, "First"))
        fetched = w.get(f"{address}/{got['id']}?api-version=2026-01-01")
        assert (fetched.status, fetched.json()) == (200, got)
        assert w.get(f"{address}/{got['id']}/input_items").status == 200
        assert w.send("DELETE", f"{address}/{got['id']}", None).status == 200


def _count(w: World, **body: Any) -> int:
    answer = w.post(at("input_tokens"), {"model": "coder", **body})
    assert answer.status == 200, answer.body
    assert answer.json()["object"] == "response.input_tokens"
    return int(answer.json()["input_tokens"])


def test_the_tokens_of_a_request_are_counted_before_it_is_sent() -> None:
    """With all that it names, and as Messages counts the same; no model is asked."""
    with world() as w:
        short, long = _count(w, input="Hello"), _count(w, input="Hello " * 100)
        assert 0 < short < long
        assert _count(w, input="Hello", tools=[TOOL]) > short
        assert _count(w, input="Hello", instructions="Be short") > short
        assert _count(w, instructions="Be short") > 0
        assert _count(w, input=[{"role": "user", "content": "Hello"}]) == short
        assert not w.upstream.requests
        first = response_of(ask(w, "Hello " * 100))
        assert _count(w, input="Hello", previous_response_id=first["id"]) > long
        assert _count(w, previous_response_id=first["id"]) > long
        body = {"max_tokens": 1, "messages": [{"role": "user", "content": "Hello"}]}
        other = w.post("/v1/messages/count_tokens", {"model": "coder", **body})
        assert other.json()["input_tokens"] == short
        for wrong, param in (
            ({"input": "x", "previous_response_id": "resp_x"}, "previous_response_id"),
            ({"input": "x", "conversation": "conv_x"}, "conversation"),
            ({"input": 5}, "input"),
        ):
            status, error = error_of(w.post(at("input_tokens"), {"model": "coder", **wrong}))
            assert (status, error["param"]) == (400, param)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_is_sent_again_can_be_fetched_again(*, stream: bool) -> None:
    """The cache gives the same one, though it was deleted meanwhile; it is what was got."""
    with world(cache={"ttl_s": 60}) as w:
        got = response_of(ask(w, "First, nonce: n1", stream=stream))
        assert delete(w, got["id"]).status == 200
        again = ask(w, "First, nonce: n1", stream=stream)
        assert again.headers["x-turnout-cache"] == "hit"
        assert fetch(w, got["id"]).json() == response_of(again) == got


def test_an_answer_that_follows_itself_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider may give one id twice: nothing runs in a circle."""
    monkeypatch.setattr(responses_wire, "token_hex", lambda _: "1" * 48)
    with world(family="openai-responses") as w:
        first = response_of(ask(w, "First, nonce: n1"))
        second = response_of(ask(w, "Second, nonce: n1", previous_response_id=first["id"]))
        assert second["id"] == first["id"]
        error = ask(w, "Third", previous_response_id=first["id"]).json()["error"]
        assert error["code"] == "previous_response_not_found"
        assert w.get(at(first["id"], "/input_items")).status == 404
        assert fetch(w, first["id"]).json() == second
