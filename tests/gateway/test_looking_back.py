"""Decisions and feedback by any worker, models by id, aliases, and routes of every dialect."""

import http.client
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.world import chat, messages, world
from tests.runtime.world import CODE
from turnout import Router
from turnout.core import ConfigError
from turnout.ledger import store_at


def test_a_decision_outlives_the_process_that_made_it(tmp_path: Path) -> None:
    """Another process with the same ledger shows it, with its calls, its cost and the feedback."""
    place = str(tmp_path / "ledger.db")
    with world(ledger=place) as w:
        answer = w.post("/v1/chat/completions", chat(CODE), {"x-request-id": "mine-1"})
        ident = answer.headers["x-turnout-decision"]
        said = {"decision_id": ident, "metric": "thumb", "value": 1, "source": "user"}
        assert w.post("/v1/feedback", said).status == 200
        seen = w.get(f"/v1/decisions/{ident}").json()
        assert seen["feedback"][0]["metric"] == "thumb"
        assert seen["client_request_id"] == "mine-1"
        w.gateway.engine.close()
    with world(ledger=place) as other:
        found = other.get(f"/v1/decisions/{ident}").json()
        assert found["id"] == ident
        assert found["intent"] == "code"
        assert found["client_request_id"] == "mine-1"
        assert [a["model"] for a in found["attempts"]] == ["acme/coder"]
        assert found["cost_usd"] == pytest.approx(float(answer.headers["x-turnout-cost-usd"]))
        assert found["feedback"] == [{"metric": "thumb", "value": 1.0, "source": "user"}]
        again = {**said, "metric": "second"}
        assert other.post("/v1/feedback", again).status == 200
        assert len(other.get(f"/v1/decisions/{ident}").json()["feedback"]) == 2
        assert other.get("/v1/decisions/d_nothing").status == 404
        assert other.post("/v1/feedback", {**said, "decision_id": "d_no"}).status == 404


def test_a_model_is_found_by_its_name_and_by_its_id() -> None:
    """Names and ids with slashes both lead to the same entry."""
    with world() as w:
        assert w.get("/v1/models/fast").json()["id"] == "fast"
        assert w.get("/v1/models/acme/fast").json()["id"] == "fast"
        assert w.get("/v1/models/ACME/Fast").json()["id"] == "fast"
        assert w.get("/v1/models/auto").json()["owned_by"] == "turnout"
        assert w.get("/v1/models/nobody").status == 404
        assert w.get("/v1/models/AUTO").status == 404
        told = w.get("/v1/models/nobody", {"anthropic-version": "2023-06-01"}).json()
        assert (told["type"], told["error"]["type"]) == ("error", "not_found_error")


@pytest.mark.parametrize("headers", [{}, {"anthropic-version": "2023-06-01"}])
def test_the_list_of_models_has_pages(headers: dict[str, str]) -> None:
    """Forwards and backwards every entry comes once."""
    with world(ledger="off") as w:

        def page(query: str) -> Any:
            return w.get(f"/v1/models?{query}", headers).json()

        everything = w.get("/v1/models", headers).json()
        ids = [model["id"] for model in everything["data"]]
        assert page("limit=1000") == page(f"limit={len(ids)}") == everything
        forwards, found = list[str](), page("limit=2")
        while found["has_more"]:
            assert (found["first_id"], found["last_id"]) == tuple(m["id"] for m in found["data"])
            forwards += [model["id"] for model in found["data"]]
            found = page(f"limit=2&after_id={found['last_id']}")
        assert forwards + [model["id"] for model in found["data"]] == ids
        assert page(f"after_id={ids[-1]}") == {**everything, "data": [], "first_id": None} | {
            "last_id": None
        }
        back = page(f"limit=2&before_id={ids[3]}")
        assert ([m["id"] for m in back["data"]], back["has_more"]) == (ids[1:3], True)
        back = page(f"before_id={ids[1]}")
        assert ([m["id"] for m in back["data"]], back["has_more"]) == (ids[:1], False)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("limit=", "limit is ''; use a whole number"),
        ("limit=0", "limit is '0'; use a whole number from 1 to 1000"),
        ("limit=1001", "limit is '1001'; use"),
        ("limit=two", "limit is 'two'; use"),
        ("after_id=nobody", "after_id is 'nobody', which is not in the list"),
        ("before_id=no%FFbody", "before_id is"),
        ("after_id=fast&before_id=strong", "send after_id or before_id, not both"),
    ],
)
def test_a_page_that_cannot_be_is_refused_in_words_of_its_caller(query: str, says: str) -> None:
    """In Anthropic's shape, with the field and what to send."""
    with world(ledger="off") as w:
        answer = w.get(f"/v1/models?{query}", {"anthropic-version": "2023-06-01"})
    assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert says in answer.json()["error"]["message"]


def test_an_alias_is_what_it_stands_for() -> None:
    """A client's fixed model name can mean auto, a policy or a model."""
    with world(aliases={"gpt-4o": "auto", "cheap": "cheapest", "mine": "strong"}) as w:
        routed = w.post("/v1/chat/completions", chat(CODE, model="gpt-4o"))
        assert routed.json()["model"] == "acme/coder"
        pinned = w.post("/v1/messages", messages(model="mine"))
        assert pinned.json()["model"] == "acme/strong"
        assert w.post("/v1/route", chat(model="cheap")).json()["policy"]["name"] == "cheapest"
        listed = {m["id"] for m in w.get("/v1/models").json()["data"]}
    assert {"gpt-4o", "cheap", "mine"} <= listed


@pytest.mark.parametrize(
    ("aliases", "says"),
    [({"fast": "strong"}, "is taken"), ({"x": "nobody"}, "cannot be asked for")],
)
def test_an_alias_that_cannot_be_is_refused(aliases: dict[str, str], says: str) -> None:
    """One that hides a model, or leads nowhere, is an error of the configuration."""
    models = {n: {"model": n, "price": "unknown"} for n in ("fast", "strong")}
    base: dict[str, Any] = {"models": models, "default": "fast", "ledger": "off"}
    base["providers"] = {"p": {"base_url": "http://127.0.0.1:1/v1", "api_key": "k"}}
    with pytest.raises(ConfigError, match=says):
        Router.from_config({**base, "aliases": aliases}, environ={})


def test_a_route_is_shown_for_every_dialect() -> None:
    """The decision on a Messages or Responses body is the one on the same chat body."""
    told = {"role": "user", "content": [{"type": "text", "text": CODE}]}
    with world() as w:
        bodies: list[tuple[dict[str, Any], dict[str, str]]] = [
            (chat(CODE), {}),
            ({"messages": [told], "max_tokens": 5, "system": "Be brief."}, {}),
            ({"messages": [told], "max_tokens": 5}, {"anthropic-version": "2023-06-01"}),
            ({"input": CODE}, {}),
        ]
        for body, headers in bodies:
            found = w.post("/v1/route", body, headers)
            assert found.status == 200
            assert found.json()["model"] == "acme/coder"
        assert w.upstream.invoice == []


@pytest.mark.parametrize("listed", ["https://app.example.org", "https://APP.example.org:443/"])
def test_pages_of_listed_origins_may_call_and_others_may_not(listed: str) -> None:
    """Closed by default; a listed origin gets its preflight and its answer, nobody else does."""
    page, ask = "https://app.example.org", {"access-control-request-method": "POST"}
    with world(serve={"origins": [listed]}) as w:
        path = "/v1/chat/completions"
        before = w.send("OPTIONS", path, None, {"origin": page, **ask})
        assert before.status == 200
        assert before.headers["access-control-allow-origin"] == page
        methods = set(before.headers["access-control-allow-methods"].split(", "))
        assert methods == {method for method, _ in w.gateway._routes()}
        answer = w.post(path, chat(), {"origin": page})
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == page
        evil = w.post(path, chat(), {"origin": "https://evil.example.org"})
        assert evil.status == 403
        assert "access-control-allow-origin" not in evil.headers
    with world() as w:
        assert w.send("OPTIONS", path, None, {"origin": page, **ask}).status != 200
        assert w.post(path, chat(), {"origin": page}).status == 403


def test_trace_context_goes_up_and_comes_back() -> None:
    """A well-formed traceparent reaches the provider and the caller; a malformed one neither."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with world() as w:
        answer = w.post("/v1/chat/completions", chat(), {"traceparent": trace})
        assert answer.headers["traceparent"] == trace
        sent = w.upstream.requests[-1].headers
        assert sent["traceparent"] == trace
        assert sent["x-request-id"] == answer.headers["x-request-id"]
        assert "tracestate" not in sent
        zeros = f"{trace[:36]}{'0' * 16}-01", f"00-{'0' * 32}{trace[35:]}"
        for wrong in ("nonsense", "ff" + trace[2:], *zeros):
            bad = w.post("/v1/chat/completions", chat(), {"traceparent": wrong})
            assert "traceparent" not in bad.headers
            assert "traceparent" not in w.upstream.requests[-1].headers


@pytest.mark.parametrize("family", ["openai", "openai-responses", "anthropic"])
def test_what_others_say_of_a_trace_goes_on_with_it(family: str) -> None:
    """As it is; without a trace that it belongs to, or longer than allowed, it says nothing."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    state = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"
    cases = [(trace, state, True), ("nonsense", state, False), (trace, "a=" + "b" * 600, False)]
    with world(family=family) as w:
        for parent, said, told in cases:
            w.post("/v1/chat/completions", chat(), {"traceparent": parent, "tracestate": said})
            found = w.upstream.requests[-1].headers.get("tracestate")
            assert found == (said if told else None)


def test_lists_that_several_headers_hold_go_on_whole() -> None:
    """In their order (RFC 9110, 5.3); what is no list and comes twice is not what either says."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    betas = [f"feature-{number}-2025-01-01" for number in range(40)]
    told = {
        "host": ["localhost"],
        "traceparent": [trace],
        "tracestate": ["congo=t61rcWkgMzE", "", "rojo=00f067aa0ba902b7,x=1"],
        "anthropic-beta": [*betas],
    }
    with world(family="anthropic") as w:
        assert _send_repeated_headers(w.port, told).status == 200
        sent = w.upstream.requests[-1].headers
        assert sent["tracestate"] == "congo=t61rcWkgMzE, , rojo=00f067aa0ba902b7,x=1"
        assert sent["anthropic-beta"] == ", ".join(betas)
        assert _send_repeated_headers(w.port, {**told, "traceparent": [trace, trace]}).status == 200
        assert not {"traceparent", "tracestate"} & set(w.upstream.requests[-1].headers)
        limits = {**told, "x-turnout-max-cost-usd": ["0", "1"]}
        assert _send_repeated_headers(w.port, limits).status == 400


def _send_repeated_headers(port: int, headers: Mapping[str, list[str]]) -> http.client.HTTPResponse:
    """The answer to a Messages request with as many headers of a name as it has values."""
    body = json.dumps(messages()).encode()
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    link.putrequest("POST", "/v1/messages", skip_host=True)
    for name, values in {**headers, "content-length": [str(len(body))]}.items():
        for value in values:
            link.putheader(name, value)
    link.endheaders(body)
    with link.getresponse() as answer:
        answer.read()
    link.close()
    return answer


def test_anthropics_clients_find_the_requests_id_under_their_name() -> None:
    """In answers and in errors; others have theirs."""
    with world() as w:
        for body in (messages(), messages(model="nonsense")):
            headers = w.post("/v1/messages", body).headers
            assert headers["request-id"] == headers["x-request-id"]
        assert "request-id" not in w.post("/v1/chat/completions", chat()).headers


def test_metrics_tell_what_was_blocked_retried_refused_and_cools() -> None:
    """Every kind of event that an operator watches has a number."""
    from tests.runtime.world import UNSAFE

    with world(models={"coder": "f-500", "strong": "f-429-ra60"}) as w:
        w.post("/v1/chat/completions", chat(CODE))
        w.post("/v1/chat/completions", chat(UNSAFE))
        w.post("/v1/chat/completions", chat(model="strong"))
        w.post("/v1/chat/completions", chat(model="nobody"))
        text = w.get("/metrics").body.decode()
    assert 'turnout_blocked_total{what="request"} 1.0' in text
    assert 'turnout_retries_total{model="f-500"}' in text
    assert "turnout_fallbacks_total 1.0" in text
    assert 'turnout_cooling{deployment="strong"} 1.0' in text
    assert 'turnout_cooling{deployment="fast"} 0.0' in text
    assert 'turnout_refused_total{code="model_not_found"} 1.0' in text


def test_what_a_decision_alone_costs_is_told(tmp_path: Path) -> None:
    """A label is asked for and paid, though no model answers: metrics, record and ledger agree."""
    place = tmp_path / "ledger.db"
    labelled = {"classifier": {"kind": "llm", "model": "coder", "deadline_s": 20}}
    with world(ledger=str(place), **labelled) as w:
        ident = w.post("/v1/route", chat()).json()["id"]
        record = w.get(f"/v1/decisions/{ident}").json()
        counted = w.get("/metrics").body.decode()
        ((paid,),) = store_at(place).fetch("SELECT sum(cost) FROM calls")
    line = 'turnout_cost_usd_total{model="acme/coder"} '
    assert float(counted.partition(line)[2].split()[0]) == pytest.approx(paid / 1e12)
    assert record["cost_usd"] == pytest.approx(paid / 1e12)
    assert [call["role"] for call in record["attempts"]] == ["classifier"]


@pytest.mark.parametrize("ledger", [True, False], ids=["ledger", "memory"])
def test_feedback_is_checked_alike_wherever_it_is_kept(tmp_path: Path, *, ledger: bool) -> None:
    """By field, value and what to use; what one place takes the other takes, too."""
    with world(ledger=str(tmp_path / "ledger.db") if ledger else "off") as w:
        ident = w.post("/v1/chat/completions", chat()).headers["x-turnout-decision"]
        good = {"decision_id": ident, "metric": "m" * 64, "value": -1_000_000, "source": "test"}
        for said in (good, {**good, "value": True}, {**good, "value": 0.5, "source": "judge"}):
            assert w.post("/v1/feedback", said).status == 200
        for field, value in (
            ("metric", ""), ("metric", "m" * 65), ("metric", 7), ("value", 1_000_001),
            ("value", "5"), ("value", None), ("source", "me"), ("source", ["user"]),
        ):  # fmt: skip
            refused = w.post("/v1/feedback", {**good, field: value})
            error = refused.json()["error"]
            assert (refused.status, error["param"]) == (400, field)
            shown = "missing" if value is None else repr(value)
            assert f"{field} is {shown}" in error["message"]
        refused = w.post("/v1/feedback", {**good, "score": None})
        assert refused.status == 400
        said = "'score' is not a field of feedback; use decision_id, metric, value, source"
        assert refused.json()["error"]["message"] == said
        kept = w.get(f"/v1/decisions/{ident}").json()["feedback"]
    assert [one["value"] for one in kept] == [-1_000_000, 1, 0.5]
