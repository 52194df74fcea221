"""Keys get a new secret or another name and stay what they are."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.world import Answer, World, chat, world
from turnout.gateway.access import Access
from turnout.ledger.keys import stored_keys
from turnout.ledger.rotation import key_rotation

ADMIN = {"x-api-key": "admin-key-0123456789"}


@pytest.fixture
def gate(tmp_path: Path) -> Iterator[World]:
    """A gateway with an administrator's token and a ledger."""
    access = Access(admin=ADMIN["x-api-key"])
    with world(access=access, ledger=str(tmp_path / "ledger.db")) as found:
        yield found


def _new_key(gate: World, **fields: Any) -> Any:
    made = gate.post("/v1/keys", {"name": "ci", **fields}, ADMIN)
    assert made.status == 200, made.body
    return made.json()


def _rotate(gate: World, id_: str, role: dict[str, str] | None = None, **fields: Any) -> Answer:
    return gate.post(f"/v1/keys/{id_}/rotate", fields, role or ADMIN)


def _auth_headers(key: Any) -> dict[str, str]:
    return {"authorization": f"Bearer {key['key']}"}


def _ask(gate: World, key: Any) -> int:
    return gate.post("/v1/chat/completions", chat(max_tokens=20), _auth_headers(key)).status


def test_both_secrets_open_for_the_overlap_and_then_the_new_one(gate: World) -> None:
    """The key's id, team and budgets stay, what was used included; the old one ends to the time."""
    old = _new_key(gate, team="research", budgets=[{"window": "day", "requests": 4}])
    assert _ask(gate, old) == 200
    answer = _rotate(gate, old["id"], overlap_s=1)
    new = answer.json()
    assert answer.status == 200
    assert (new["id"], new["team"], new["name"]) == (old["id"], "research", "ci")
    assert new["key"] != old["key"]
    assert 0 < new["old_secret_until_ms"] - time.time() * 1000 <= 1000
    assert [_ask(gate, old), _ask(gate, new)] == [200, 200]
    time.sleep(1.1)
    assert [_ask(gate, old), _ask(gate, new)] == [401, 200]
    assert _ask(gate, new) == 429
    (standing,) = gate.get("/v1/budgets", _auth_headers(new)).json()["data"]
    assert standing["spent"] == 4
    listed = gate.get("/v1/keys", ADMIN).body
    assert new["key"].encode() not in listed


def test_without_an_overlap_the_old_one_is_out_at_once(gate: World) -> None:
    """And a second rotation ends the first's old secret, so that there are never three."""
    first = _new_key(gate)
    second = _rotate(gate, first["id"], overlap_s=0).json()
    assert [_ask(gate, first), _ask(gate, second)] == [401, 200]
    third = _rotate(gate, first["id"]).json()
    fourth = _rotate(gate, first["id"]).json()
    assert [_ask(gate, key) for key in (second, third, fourth)] == [401, 200, 200]
    assert gate.send("DELETE", f"/v1/keys/{first['id']}", None, ADMIN).status == 200
    assert [_ask(gate, key) for key in (third, fourth)] == [401, 401]


def test_what_was_kept_for_the_key_is_found_with_its_new_secret(tmp_path: Path) -> None:
    """Exact answers are the key's, as its budgets are; another key finds none of them."""
    access = Access(admin=ADMIN["x-api-key"])
    ledger = str(tmp_path / "ledger.db")
    with world(access=access, ledger=ledger, cache={"ttl_s": 60}) as gate:
        old, other = _new_key(gate), _new_key(gate)

        def is_cache_hit(key: Any) -> bool:
            answer = gate.post("/v1/chat/completions", chat(), _auth_headers(key))
            assert answer.status == 200
            return answer.headers.get("x-turnout-cache") == "hit"

        assert [is_cache_hit(old), is_cache_hit(old), is_cache_hit(other)] == [False, True, False]
        new = _rotate(gate, old["id"], overlap_s=0).json()
        assert is_cache_hit(new)


def test_what_another_process_rotates_is_known_within_a_second(gate: World) -> None:
    """The new secret at once, since a key that is not known is looked up."""
    key = _new_key(gate)
    ledger: Any = gate.gateway.engine.parts.means.recorder
    (stored,) = stored_keys(ledger.store)
    secret, change = key_rotation(stored, 0, time.time_ns() // 1_000_000)
    ledger.change(change)
    assert _ask(gate, {"key": secret}) == 200
    time.sleep(1)
    assert _ask(gate, key) == 401


def test_the_old_secret_does_not_outlive_its_key(gate: World) -> None:
    """Where the key expires within the overlap, both end then."""
    key = _new_key(gate, expires_in_s=1)
    new = _rotate(gate, key["id"], overlap_s=3600).json()
    assert [_ask(gate, key), _ask(gate, new)] == [200, 200]
    time.sleep(1.1)
    assert [_ask(gate, key), _ask(gate, new)] == [401, 401]
    gone = _rotate(gate, key["id"])
    assert gone.status == 400
    assert "has ended" in gone.json()["error"]["message"]


def test_an_administrators_key_rotates_itself_and_its_children_alone(gate: World) -> None:
    """Another's new secret would give it what that one may."""
    free, bound = _new_key(gate), _new_key(gate, admin=True, models=["fast"])
    child = gate.post("/v1/keys", {"name": "child"}, _auth_headers(bound)).json()
    refused = _rotate(gate, free["id"], _auth_headers(bound))
    assert refused.status == 400
    assert "your own key or a child of it" in refused.json()["error"]["message"]
    assert _rotate(gate, child["id"], _auth_headers(bound)).status == 200
    assert _rotate(gate, bound["id"], _auth_headers(bound), overlap_s=0).status == 200
    assert _rotate(gate, bound["id"], _auth_headers(bound)).status == 401
    assert _rotate(gate, free["id"], _auth_headers(free)).status == 403


def test_the_same_request_again_rotates_once(gate: World) -> None:
    """By its Idempotency-Key, so that a lost answer loses no key."""
    key = _new_key(gate)
    headers = {**ADMIN, "idempotency-key": "rotate-1"}
    answers = [_rotate(gate, key["id"], headers) for _ in range(2)]
    assert answers[0].json() == answers[1].json()
    assert _ask(gate, answers[0].json()) == 200


def test_a_request_is_carried_out_once_whichever_secret_sends_it(gate: World) -> None:
    """Its answer opens with the secret that it was asked with, and the other one is told so."""
    old = _new_key(gate)
    new = _rotate(gate, old["id"]).json()
    body = chat(max_tokens=20)

    def repeat(key: Any) -> Answer:
        once = {**_auth_headers(key), "idempotency-key": "order-1"}
        return gate.post("/v1/chat/completions", body, once)

    first = repeat(old)
    refused = repeat(new)
    assert (first.status, refused.status) == (200, 409)
    assert refused.json()["error"]["code"] == "idempotency_key_rotated"
    assert repeat(old).body == first.body
    assert len(gate.upstream.invoice) == 1


def test_a_key_is_called_otherwise(gate: World) -> None:
    """It opens as before."""
    key = _new_key(gate)
    path = f"/v1/keys/{key['id']}"
    told = gate.send("PATCH", path, b'{"name": "nightly"}', ADMIN)
    assert (told.status, told.json()["name"]) == (200, "nightly")
    assert _ask(gate, key) == 200
    assert gate.get("/v1/keys", ADMIN).json()["data"][0]["name"] == "nightly"


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("POST", "/rotate", b'{"overlap_s": -1}', "overlap is -1 s; use 0 to 2,592,000 s"),
        ("POST", "/rotate", b'{"overlap_s": 3000000}', "use 0 to 2,592,000 s"),
        ("POST", "/rotate", b'{"overlap_s": "1h"}', "overlap_s is '1h'; use a whole number"),
        ("POST", "/rotate", b'{"overlap": 1}', "'overlap' is not a field"),
        ("PATCH", "", b'{"name": "a b"}', "name is 'a b'; use 1 to 64"),
        ("PATCH", "", b"{}", "name is ''"),
        ("PATCH", "", b'{"team": "x"}', "'team' is not a field here; use name"),
    ],
)
def test_mistakes_are_named(gate: World, method: str, path: str, body: bytes, said: str) -> None:
    """And change nothing."""
    key = _new_key(gate)
    refused = gate.send(method, f"/v1/keys/{key['id']}{path}", body, ADMIN)
    assert refused.status == 400
    assert said in refused.json()["error"]["message"]
    assert _ask(gate, key) == 200


def test_keys_that_are_not_there(gate: World) -> None:
    """Nor any other path below a key."""
    for method, path, body in (
        ("POST", "k_x/rotate", b"{}"),
        ("PATCH", "k_x", b'{"name": "a"}'),
        ("DELETE", "k_x", None),
    ):
        refused = gate.send(method, f"/v1/keys/{path}", body, ADMIN)
        assert (refused.status, refused.json()["error"]["code"]) == (404, "not_found")
        assert "'k_x' is not a key" in refused.json()["error"]["message"]
    for method, path, status in (
        ("POST", "k_x/spin", 404),
        ("POST", "k_x", 405),
        ("PATCH", "k_x/rotate", 405),
        ("DELETE", "k_x/rotate", 405),
    ):
        assert gate.send(method, f"/v1/keys/{path}", b"{}", ADMIN).status == status
