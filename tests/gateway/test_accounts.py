"""Keys, budgets and tenants, through the real gateway on a real ledger."""

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.world import Answer, World, chat, messages, with_picture, world
from tests.runtime.world import UNSAFE
from turnout.core import Caller, ConfigError
from turnout.gateway.access import OPEN_PATHS, Access
from turnout.gateway.openapi import paths
from turnout.gateway.problem import Problem

WHY = ("model", "decision", "intent", "reason", "attempts")
ADMIN = {"x-api-key": "admin-key-0123456789"}


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[World]:
    """A gateway with an administrator's token and a ledger."""
    with _gate(tmp_path) as found:
        yield found


def _gate(tmp_path: Path, **more: Any) -> Any:
    access = Access(admin=ADMIN["x-api-key"])
    return world(access=access, ledger=str(tmp_path / "ledger.db"), **more)


def _key(gate: World, **fields: Any) -> tuple[dict[str, str], str]:
    """Headers with a new key, and its id."""
    made = gate.post("/v1/keys", {"name": "test", **fields}, ADMIN)
    assert made.status == 200, made.body
    return {"authorization": f"Bearer {made.json()['key']}"}, made.json()["id"]


def _ask(gate: World, key: dict[str, str], **more: Any) -> Answer:
    return gate.post("/v1/chat/completions", chat(**{"max_tokens": 20, **more}), key)


def test_a_key_is_shown_once_and_stored_as_a_hash(gate: World, tmp_path: Path) -> None:
    """Neither the list nor the file holds it."""
    key, id_ = _key(gate, name="ci", team="research")
    assert _ask(gate, key).status == 200
    secret = key["authorization"].removeprefix("Bearer ")
    listed = gate.get("/v1/keys", ADMIN)
    assert [k["id"] for k in listed.json()["data"]] == [id_]
    assert secret.encode() not in listed.body
    for file in filter(Path.is_file, tmp_path.iterdir()):
        assert secret.encode() not in file.read_bytes(), file


def test_once_there_is_a_key_nobody_passes_without(gate: World) -> None:
    """Unknown and missing keys get the same answer, in the caller's dialect."""
    assert _ask(gate, {}).status == 200
    _, id_ = _key(gate)
    answers = [_ask(gate, headers) for headers in ({}, {"x-api-key": "tnk_wrong"})]
    assert {a.status for a in answers} == {401}
    assert answers[0].body == answers[1].body
    gate.send("DELETE", f"/v1/keys/{id_}", None, ADMIN)
    # A key that is gone does not open the door again.
    assert _ask(gate, {}).status == 401
    said = gate.post("/v1/messages", messages()).json()
    assert (said["type"], said["error"]["type"]) == ("error", "authentication_error")


def test_a_revoked_key_and_its_children_are_out_within_a_second(gate: World) -> None:
    """Also where another process revokes it: the snapshot is looked up every 0.4 s."""
    key, id_ = _key(gate)
    child, _ = _key(gate, parent=id_)
    assert [_ask(gate, k).status for k in (key, child)] == [200, 200]
    # As another process would: straight into the store.
    ledger = gate.gateway.engine.parts.means.recorder
    ledger.change(_revoking(id_))  # type: ignore[attr-defined]
    time.sleep(1)
    assert [_ask(gate, k).status for k in (key, child)] == [401, 401]


def _revoking(id_: str) -> Any:
    from turnout.ledger.keys import key_revocation

    return key_revocation(id_, 1)


def test_an_expired_key_is_out(gate: World) -> None:
    """To the second."""
    key, _ = _key(gate, expires_in_s=1)
    assert _ask(gate, key).status == 200
    time.sleep(1.1)
    assert _ask(gate, key).status == 401


def test_a_key_reaches_only_its_models_fallbacks_included(gate: World) -> None:
    """Neither by name, nor by another spelling, nor when its own models fail."""
    key, _ = _key(gate, models=["fast"])
    assert _ask(gate, key).json()["model"] == "acme/fast"
    for name in ("strong", "STRONG", "acme/strong"):
        refused = _ask(gate, key, model=name)
        assert (refused.status, refused.json()["error"]["code"]) == (403, "model_not_allowed")
    listed = [m["id"] for m in gate.get("/v1/models", key).json()["data"]]
    assert "fast" in listed
    assert "strong" not in listed
    assert {e.model for e in gate.upstream.invoice} == {"acme/fast"}


def test_a_childs_rights_are_what_its_parent_has_too(gate: World) -> None:
    """A child of fast and a parent of strong share nothing."""
    _, id_ = _key(gate, models=["strong"])
    child, _ = _key(gate, parent=id_, models=["fast", "strong"])
    assert _ask(gate, child, model="fast").status == 403
    assert _ask(gate, child, model="strong").status == 200
    # By name or by id, it is the same model.
    by_id, _ = _key(gate, parent=id_, models=["acme/strong"])
    assert _ask(gate, by_id, model="strong").status == 200
    assert "strong" in {m["id"] for m in gate.get("/v1/models", by_id).json()["data"]}
    # A child of a key that is no administrator's is none either.
    low, _ = _key(gate, parent=id_, admin=True)
    assert gate.get("/v1/keys", low).status == 403


def test_a_key_is_no_administrators_unless_that_is_said(gate: World) -> None:
    """Whether it is made here or by the library."""
    _, made = gate.gateway.engine.accounts.make_key(name="test")
    assert not made.admin
    key, _ = _key(gate)
    assert gate.get("/v1/keys", key).status == 403


def test_an_administrators_key_makes_only_children_of_its_own(gate: World) -> None:
    """It cannot make a key that may more than it does."""
    boss, id_ = _key(gate, admin=True, models=["fast"])
    made = gate.post("/v1/keys", {"name": "more", "models": ["strong"]}, boss)
    assert made.json()["parent"] == id_
    key = {"x-api-key": made.json()["key"]}
    assert _ask(gate, key, model="strong").status == 403
    assert gate.post("/v1/keys", {"name": "x", "parent": "k_other"}, boss).status == 400


def test_a_full_budget_is_a_402_with_the_numbers_of_the_api(gate: World) -> None:
    """Limit, spent, held, left and reset are the same in both."""
    budget = {"per": "key", "window": "day", "usd": "0.0002"}
    key, id_ = _key(gate, budgets=[budget])
    answers = [_ask(gate, key) for _ in range(30)]
    refused = answers[-1]
    assert {a.status for a in answers} == {200, 402}
    error = refused.json()["error"]
    assert error["code"] == "budget_exceeded"
    (shown,) = error["budgets"]
    (listed,) = [s for s in gate.get("/v1/budgets", key).json()["data"] if s["subject"] == id_]
    assert shown == listed
    assert float(shown["spent"]) <= float(shown["limit"])
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert refused.headers["x-should-retry"] == "false"
    said = gate.post("/v1/messages", messages(max_tokens=20), key).json()
    assert said["error"]["budgets"] == [shown]


WORDS = "word " * 1000
SEARCHED = {"type": "web_search_result", "title": "t", "url": "u", "encrypted_content": WORDS}
RAN_THERE: dict[str, tuple[str, dict[str, Any]]] = {
    "mcp_tool_result": ("anthropic", {"content": [{"type": "text", "text": WORDS}]}),
    "web_search_tool_result": ("anthropic", {"content": [SEARCHED]}),
    "mcp_call": ("openai-responses", {"output": WORDS, "name": "n", "arguments": "{}"}),
    "computer_call_output": ("openai-responses", {"call_id": "c", "output": {"image_url": "u"}}),
}


@pytest.mark.parametrize("kind", RAN_THERE)
def test_what_tools_of_a_provider_gave_back_is_held_too(tmp_path: Path, kind: str) -> None:
    """It goes back to that provider alone, which counts it; more is never spent than is left."""
    family, result = RAN_THERE[kind]
    item = {"type": kind, "id": "i", "tool_use_id": "s", **result}
    with _gate(tmp_path, family=family) as gate:
        key, _ = _key(gate, budgets=[{"per": "key", "window": "day", "tokens": 800}])
        for turn, status in (({"role": "assistant", "content": "Well."}, 200), (item, 429)):
            if family == "anthropic":
                said = {"role": "assistant", "content": [turn]} if turn is item else turn
                user = {"role": "user", "content": "Go on"}
                body = {"model": "strong", "max_tokens": 50, "messages": [user, said, user]}
                answer = gate.post("/v1/messages", body, key)
            else:
                body = {"model": "strong", "max_output_tokens": 50, "input": [turn]}
                body["input"].append({"role": "user", "content": "Go on"})
                answer = gate.post("/v1/responses", body, key)
            assert answer.status == status, answer.body


def test_a_hundred_at_once_do_not_pass_the_wall(gate: World) -> None:
    """Every one is held before it is sent; what is spent stays below the limit."""
    key, id_ = _key(gate, budgets=[{"per": "key", "window": "total", "usd": "0.0003"}])
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: _ask(gate, key), range(100)))
    assert {a.status for a in answers} == {200, 402}
    (now,) = [s for s in gate.get("/v1/budgets", key).json()["data"] if s["subject"] == id_]
    assert float(now["spent"]) <= float(now["limit"])
    assert now["held"] == "0"


def test_administrators_are_not_exempt(gate: World) -> None:
    """The token that sets a budget is refused by it."""
    gate.post("/v1/budgets", {"per": "all", "window": "total", "usd": 0}, ADMIN)
    for path, body in [
        ("/v1/chat/completions", chat()),
        ("/v1/messages", messages()),
        ("/v1/responses", {"model": "auto", "input": "Hello"}),
    ]:
        assert gate.post(path, body, ADMIN).status == 402, path
    assert gate.upstream.invoice == []
    removed = [gate.send("DELETE", "/v1/budgets/all:*:total:usd", None, ADMIN) for _ in range(2)]
    assert [answer.status for answer in removed] == [200, 404]
    assert _ask(gate, ADMIN).status == 200


def test_a_rate_limit_is_a_429_that_says_when(gate: World) -> None:
    """Requests a minute are a budget like any other, and clients may wait for the next."""
    key, _ = _key(gate, budgets=[{"per": "key", "window": "minute", "requests": 2}])
    statuses = [_ask(gate, key) for _ in range(4)]
    refused = [a for a in statuses if a.status == 429]
    assert refused
    assert 0 < int(refused[0].headers["retry-after"]) <= 60
    assert refused[0].headers["x-should-retry"] == "true"


def test_what_is_not_carried_out_counts_as_no_request(gate: World) -> None:
    """Neither what cannot be read nor what no model may take; a refusal for safety is an answer.

    Nor does a full limit hide why such a request fails.
    """
    rate = {"per": "key", "window": "day", "requests": 1}
    key, _ = _key(gate, models=["fast"], budgets=[rate])
    for body, status, spent in [
        (b"{", 400, 0),
        (chat(model="nobody"), 404, 0),
        (chat(model="strong"), 403, 0),
        (with_picture(), 400, 0),
        (chat(UNSAFE), 200, 1),
        (chat(model="strong"), 403, 1),
        (chat(UNSAFE), 429, 1),
    ]:
        assert gate.post("/v1/chat/completions", body, key).status == status
        (shown,) = gate.get("/v1/budgets", key).json()["data"]
        assert (shown["spent"], shown["held"]) == (spent, 0)
    assert gate.upstream.invoice == []


def test_where_it_says_so_a_cheaper_model_answers_before_anyone_is_refused(gate: World) -> None:
    """The strong model's most does not fit; the next strongest one's does."""
    budget = {"per": "key", "window": "day", "usd": "0.002", "when_full": "cheaper"}
    key, _ = _key(gate, budgets=[budget])
    answer = gate.post("/v1/chat/completions", chat(model="strongest", max_tokens=500), key)
    assert (answer.status, answer.json()["model"]) == (200, "acme/coder")
    assert answer.headers["x-turnout-reason"].endswith(" (a budget has no room for acme/strong)")


def test_a_time_is_told_where_the_cheapest_model_fits_by_then(gate: World) -> None:
    """What is more than the whole budget at the cheapest, too, is told none; both say how much."""
    budget = {"per": "key", "window": "day", "usd": "0.0002", "when_full": "cheaper"}
    key, _ = _key(gate, budgets=[budget])
    path, short = "/v1/chat/completions", chat(model="strongest", max_tokens=50)
    never = gate.post(path, {**short, "max_tokens": 10_000}, key)
    assert (never.status, never.headers.get("retry-after")) == (402, None)
    answers = [gate.post(path, short, key) for _ in range(30)]
    assert {a.status for a in answers} == {200, 402}
    later = answers[-1]
    assert 0 < int(later.headers["retry-after"]) <= 86_400
    asked = [a.json()["error"]["message"].partition("asked for $")[2] for a in (never, later)]
    assert [float(text.partition(",")[0]) > 0.0002 for text in asked] == [True, False]


def test_a_refusal_says_how_much_the_cheapest_model_may_cost_that_may_be_used(gate: World) -> None:
    """A cheaper one that the key may not use would be no help."""
    budget = {"per": "key", "window": "day", "usd": "0.0002", "when_full": "cheaper"}
    told = []
    for models in (["fast", "coder", "strong"], ["coder", "strong"]):
        key, _ = _key(gate, budgets=[budget], models=models)
        said = _ask(gate, key, model="strongest", max_tokens=10_000).json()["error"]["message"]
        told.append(float(said.partition("asked for $")[2].partition(",")[0]))
    assert [round(usd, 3) for usd in told] == [0.004, 0.01]


def test_a_models_budget_leaves_the_others(gate: World) -> None:
    """The plan goes round it; asked for by name it is refused."""
    gate.post("/v1/budgets", {"per": "model", "name": "strong", "window": "day", "usd": 0}, ADMIN)
    refused = _ask(gate, ADMIN, model="strong")
    assert refused.status == 402
    assert refused.json()["error"]["message"].startswith("budget used up: model strong: ")
    answer = gate.post("/v1/chat/completions", chat(model="strongest", max_tokens=20), ADMIN)
    assert answer.status == 200
    assert answer.json()["model"] != "acme/strong"
    assert answer.headers["x-turnout-reason"].endswith(" (a budget has no room for acme/strong)")


def test_a_models_budget_leaves_out_the_place_that_is_too_dear_alone(tmp_path: Path) -> None:
    """The cheap place of the same model fits and answers."""
    dear = {"model": "acme/dear", "price": {"input": 100, "output": 200}}
    both = {"model": "acme/cheap", "price": {"input": 1, "output": 2}, "deployments": [{}, dear]}
    budgets = [{"per": "model", "name": "both", "window": "day", "usd": 0.001}]
    with _gate(tmp_path, embedding={"both": both}, budgets=budgets) as gate:
        answer = gate.post("/v1/chat/completions", chat(model="both", max_tokens=20))
        assert (answer.status, answer.headers["x-turnout-model"]) == (200, "acme/cheap")
        longer = gate.post("/v1/chat/completions", chat(model="both", max_tokens=2000))
    assert longer.status == 402


def test_a_refusal_names_the_budgets_that_refuse_alone(tmp_path: Path) -> None:
    """A budget that only a fallback does not fit is no reason; nor does it make a 429 a 402."""
    tight = {"per": "all", "window": "day", "usd": "0.0002"}
    with _gate(tmp_path, budgets=[tight, {"per": "key", "window": "hour", "requests": 1}]) as gate:
        key, _ = _key(gate)
        assert _ask(gate, key).status == 200
        refused = _ask(gate, key)
        assert refused.status == 429
        said = refused.json()["error"]
        assert [b["unit"] for b in said["budgets"]] == ["requests"]
        assert "1 requests an hour, spent 1, held 0, left 0" in said["message"]
        assert 0 < int(refused.headers["retry-after"]) <= 3600


def test_a_models_budget_by_its_id_holds_under_its_name(gate: World) -> None:
    """It is kept, counted and shown by the name; an id of two models is refused."""
    key, _ = _key(gate)
    asked = {"per": "model", "name": "acme/fast", "window": "day", "requests": 1}
    assert gate.post("/v1/budgets", asked, ADMIN).json() == {"id": "model:fast:day:requests"}
    assert _ask(gate, key, model="fast").status == 200
    assert _ask(gate, key, model="fast").status == 429
    (shown,) = gate.get("/v1/budgets", ADMIN).json()["data"]
    assert (shown["subject"], shown["spent"], shown["left"]) == ("fast", 1, 0)


def test_an_id_that_two_models_have_is_no_models_name(tmp_path: Path) -> None:
    """A budget for both could be meant, and one for either: it is asked which."""
    with _gate(tmp_path, models={"fast": "acme/same", "strong": "acme/same"}) as gate:
        asked = {"per": "model", "name": "acme/same", "window": "day", "requests": 1}
        said = gate.post("/v1/budgets", asked, ADMIN)
        assert said.status == 400
        assert "is the id of fast, strong; use a name" in said.json()["error"]["message"]


def test_a_name_is_its_models_though_another_has_it_as_its_id(tmp_path: Path) -> None:
    """Its budget is set, as asked, and not the other one's."""
    ids = {"fast": "strong", "strong": "coder", "coder": "fast"}
    with _gate(tmp_path, models=ids) as gate:
        for name in ids:
            asked = {"per": "model", "name": name, "window": "day", "requests": 1}
            made = gate.post("/v1/budgets", asked, ADMIN).json()
            assert made == {"id": f"model:{name}:day:requests"}


def test_a_decision_of_another_tenant_is_not_there(gate: World) -> None:
    """Neither to be read nor to be judged; a key of the same team sees it."""
    mine, _ = _key(gate, team="a")
    team, _ = _key(gate, team="a")
    other, _ = _key(gate, team="b")
    decision = _ask(gate, mine).headers["x-turnout-decision"]
    judged = {"decision_id": decision, "metric": "good", "value": 1}
    for key, status in ((mine, 200), (team, 200), (ADMIN, 200), (other, 404)):
        assert gate.get(f"/v1/decisions/{decision}", key).status == status
        assert gate.post("/v1/feedback", judged, key).status == status


def test_every_path_by_every_role(gate: World) -> None:
    """What is open without a key is exactly the list; what is an administrator's is his alone."""
    user, _ = _key(gate)
    admin_only = {
        ("GET", "/metrics"), ("GET", "/v1/keys"), ("POST", "/v1/keys"),
        ("DELETE", "/v1/keys/{id}"), ("POST", "/v1/budgets"), ("DELETE", "/v1/budgets/{id}"),
        ("PATCH", "/v1/keys/{id}"), ("POST", "/v1/keys/{id}/rotate"),
    }  # fmt: skip
    routes = set(gate.gateway._routes())
    always_refused = ("POST", "/v1/responses/{id}/cancel")
    assert routes == {*paths(), ("GET", "/openapi.json"), always_refused}
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
    roles = ({}, {"x-api-key": "tnk_bad"}, user)
    for path in {p for _, p in routes} | {"/", "/v1", "/v1/keys/", "/v1/nothing"}:
        for method in methods:
            data = b"{}" if method in ("POST", "PUT", "PATCH") else None
            real = path.replace("{id}", "x")
            none, bad, used = (gate.send(method, real, data, role).status for role in roles)
            assert none == bad
            if path in OPEN_PATHS:
                assert 401 not in (none, used)
            else:
                assert none == 401, (method, path)
            if (method, path) in admin_only:
                assert used == 403, (method, path)
            elif (method, path) in routes:
                assert used not in (401, 403), (method, path)


def test_bad_fields_of_a_key_or_a_budget_are_named(gate: World) -> None:
    """One line says which and what to write instead."""
    keys, budgets, day = "/v1/keys", "/v1/budgets", {"window": "day", "usd": 1}
    for path, body, said in [
        (keys, {}, "name is ''"),
        (keys, {"name": "a b"}, "name is 'a b'; use 1 to 64"),
        (keys, {"name": "a", "models": "fast"}, "models is 'fast'; use a list"),
        (keys, {"name": "a", "models": ["fsat"]}, "'fsat' is not configured; did you mean 'fast'?"),
        (keys, {"name": "a", "admin": "yes"}, "admin is 'yes'; use true or false"),
        (keys, {"name": "a", "parent": "k_none"}, "parent 'k_none' is not a key"),
        (keys, {"name": "a", "colour": "red"}, "'colour' is not a field here"),
        (keys, {"name": "a", "expires_in_s": -5}, "expiry lies in the past"),
        (keys, {"name": "a", "expires_in_s": 10**12}, "lies beyond the year 9999"),
        (keys, {"name": "a", "expires_in_s": False}, "expires_in_s is False; use a whole number"),
        (keys, {"name": "a", "budgets": [day | {"per": "all"}]}, "those of a key are per key"),
        (keys, {"name": "a", "budgets": [day | {"name": "k_x"}]}, "one for 'key:k_x:day:usd'"),
        (
            keys,
            {"name": "a", "budgets": [day, day | {"usd": 2}]},
            "two for the same window and unit",
        ),
        (budgets, {"per": "key", "window": "day"}, "budget: a budget needs exactly one of usd"),
        (budgets, {"per": "key", "window": "day", "usd": 1, "requests": 1}, "exactly one of usd"),
        (budgets, {"per": "galaxy", "window": "day", "usd": 1}, "per: 'galaxy': input should be"),
        (budgets, {"per": "all", "name": "x", "window": "day", "usd": 1}, "takes no name"),
        (budgets, {"per": "key", "window": "day", "usd": "NaN"}, "usd: 'NaN': input should be"),
        (budgets, {"window": "day", "usd": 1}, "per: is missing; add per"),
        (
            budgets,
            {"per": "model", "name": "x", "window": "day", "usd": 1},
            "'x' is not configured",
        ),
        (budgets, {"per": "key", "name": "k_x", "window": "day", "usd": 1}, "'k_x' is not a key"),
    ]:
        refused = gate.post(path, body, ADMIN)
        assert refused.status == 400, body
        assert said in refused.json()["error"]["message"]


def test_a_request_that_may_use_more_than_is_left_is_told_so(gate: World) -> None:
    """Nothing is used up: what helps is a shorter answer."""
    key, _ = _key(gate, budgets=[{"window": "day", "usd": "0.0002"}])
    refused = gate.post("/v1/chat/completions", chat(), key)
    assert refused.status == 402
    message = refused.json()["error"]["message"]
    assert message.startswith("the request may use more than is left: key ")
    assert message.endswith("ask for a shorter answer")
    assert _ask(gate, key).status == 200


def test_a_number_of_answers_that_is_none_is_refused(gate: World) -> None:
    """A provider may read "3" as 3, and would write three answers where one is held for."""
    for number in ("3", 3.0, 0, -1, True):
        refused = gate.post("/v1/chat/completions", chat(n=number), ADMIN)
        assert (refused.status, refused.json()["error"]["param"]) == (400, "n")


def test_a_configured_budget_holds_without_any_key(tmp_path: Path) -> None:
    """From the file, for everybody."""
    budgets = [{"per": "all", "window": "day", "usd": "0.0001"}]
    with _gate(tmp_path, budgets=budgets) as gate:
        statuses = [_ask(gate, {}).status for _ in range(20)]
        (shown,) = gate.get("/v1/budgets", ADMIN).json()["data"]
        assert gate.get("/v1/budgets", {"x-api-key": "unused"}).json()["data"] == []
    assert set(statuses) == {200, 402}
    assert shown["budget"] == "all:*:day:usd"
    assert float(shown["spent"]) > 0


def test_without_a_ledger_there_is_nowhere_to_keep_keys() -> None:
    """That is the configuration's doing, said as such, and not a failure."""
    with world(access=Access(admin=ADMIN["x-api-key"]), ledger="off") as gate:
        answers = [gate.get(path, ADMIN) for path in ("/v1/keys", "/v1/budgets")]
        answers.append(gate.post("/v1/keys", {"name": "test"}, ADMIN))
        with pytest.raises(ConfigError, match="remove 'ledger: off'"):
            gate.gateway.engine.accounts.keys()
    assert {answer.status for answer in answers} == {409}
    assert all("ledger: off" in answer.json()["error"]["message"] for answer in answers)


def test_an_exact_answer_is_kept_for_its_tenant_alone(tmp_path: Path) -> None:
    """The same bytes again, whole and streamed, for nothing; another tenant's request is asked."""
    with _gate(tmp_path, cache={"ttl_s": 60}) as gate:
        mine, other = (_key(gate, team=team)[0] for team in "ab")
        for stream in (False, True):
            first, again = (_ask(gate, mine, stream=stream) for _ in range(2))
            assert (again.status, again.body) == (200, first.body)
            assert again.headers["x-turnout-cache"] == "hit"
            assert again.headers["x-turnout-cost-usd"] == "0"
            for name in ("content-type", *(f"x-turnout-{what}" for what in WHY)):
                assert again.headers[name] == first.headers[name]
            assert "x-turnout-cache" not in _ask(gate, other, stream=stream).headers
        assert "x-turnout-cache" not in _ask(gate, mine, temperature=0.5).headers
        assert b"turnout_cache_hits_total 2.0" in gate.get("/metrics", ADMIN).body
        assert len(gate.upstream.invoice) == 5


def test_an_exact_answer_is_kept_for_whom_the_same_is_chosen(tmp_path: Path) -> None:
    """Keys of one team with knobs of their own, and calls of another kind, may get others."""
    rule = {"name": "aside", "kind": "background", "model": "fast"}
    policy = {"name": "rules", "rules": [rule], "otherwise": "strongest"}
    knobs = {"keys": {"cheap": {"max_cost_usd": 0.0001}}}
    class_ = {"x-claude-code-request-class": "auxiliary"}
    with _gate(tmp_path, cache={"ttl_s": 60}, policy=policy, knobs=knobs) as gate:
        usual, _ = _key(gate, name="usual", team="t")
        cheap, _ = _key(gate, name="cheap", team="t")
        asked = [{**usual, **class_}, usual, cheap, usual, {**usual, **class_}]
        seen = [_ask(gate, headers) for headers in asked]
    models = [answer.json()["model"] for answer in seen[:3]]
    assert models == ["acme/fast", "acme/strong", "acme/coder"]
    assert ["x-turnout-cache" in a.headers for a in seen] == [False, False, False, True, True]


def test_what_a_budget_has_made_cheaper_is_not_kept(tmp_path: Path) -> None:
    """A key with room gets the model that is meant, though another one of its team had none."""
    with _gate(tmp_path, cache={"ttl_s": 60}, policy={"name": "strongest"}) as gate:
        budget = {"window": "day", "usd": 0.00005, "when_full": "cheaper"}
        poor, _ = _key(gate, name="poor", team="t", budgets=[budget])
        rich, _ = _key(gate, name="rich", team="t")
        seen = [_ask(gate, key) for key in (poor, rich, poor)]
    models = [answer.json()["model"] for answer in seen]
    assert models == ["acme/coder", "acme/strong", "acme/strong"]
    assert "x-turnout-cache" in seen[2].headers


def test_what_is_not_complete_and_safe_is_not_kept(tmp_path: Path) -> None:
    """Errors and streams that broke off are asked anew, and so is what has expired."""
    with _gate(tmp_path, cache={"ttl_s": 0.3}, models={"fast": "f-cut@3"}) as gate:
        for more in ({"stream": True}, {"model": "nothing"}):
            answers = [_ask(gate, {}, **{"model": "fast", **more}) for _ in range(2)]
            assert not any("x-turnout-cache" in a.headers for a in answers)
        assert "x-turnout-cache" not in _ask(gate, {}, model="coder").headers
        assert "x-turnout-cache" in _ask(gate, {}, model="coder").headers
        time.sleep(0.4)
        assert "x-turnout-cache" not in _ask(gate, {}, model="coder").headers


class _Looked:
    """Stored keys that only note what they are asked for."""

    has_keys = True

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def caller(self, digest: bytes) -> Caller | None:
        """Nobody."""
        self.asked.append(digest)
        return None


@pytest.mark.parametrize("given", ["", "x", "static-key-0123456788", "tnk_unknown", "k" * 9000])
def test_a_key_is_compared_by_its_hash_alone(given: str) -> None:
    """However much of a key was guessed, its hash tells nothing of how near it came.

    Unknown, wrong and missing keys take the same way: one hash, one look-up here and in the store.
    """
    access, stored = Access(["static-key-0123456789"], ADMIN["x-api-key"]), _Looked()
    headers = {b"host": b"localhost", b"authorization": f"Bearer {given}".encode()}
    refused = access.caller("POST", "/v1/chat/completions", headers, stored)
    assert isinstance(refused, Problem)
    assert (refused.status, refused.code) == (401, "invalid_api_key")
    assert stored.asked == [hashlib.sha256(given.encode()).digest()]
    kept = repr(vars(access))
    assert "static-key-0123456789" not in kept
    assert ADMIN["x-api-key"] not in kept


def test_a_refusal_is_logged_with_its_budgets_and_no_text_of_the_caller(
    gate: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Who looks for a 402 or 429 by its request's id finds whose budget it was."""
    caplog.set_level("INFO", "turnout")
    key, id_ = _key(gate, budgets=[{"window": "day", "requests": 0}])
    gate.post("/v1/budgets", {"per": "session", "window": "total", "usd": 0}, ADMIN)
    refused = gate.post(
        "/v1/chat/completions", chat(max_tokens=20), {**key, "x-turnout-session": "canary-7781"}
    )
    assert refused.status == 402
    (line,) = (vars(r)["fields"] for r in caplog.records if r.msg == "refused")
    assert line["request"] == refused.headers["x-request-id"]
    found = {budget["budget"]: budget["subject"] for budget in line["budgets"]}
    assert found == {f"key:{id_}:day:requests": id_, "session:*:total:usd": None}
    assert "canary-7781" in refused.body.decode()
    assert "canary-7781" not in str(line)
