"""Who may call which path, with which key, from which page: decided in one place."""

import pytest

from turnout.core import STORED_PREFIX, Caller
from turnout.core.caller import key_hash
from turnout.gateway.access import Access
from turnout.gateway.cors import Origins
from turnout.gateway.problem import Problem

LOW, BOSS = f"{STORED_PREFIX}low", f"{STORED_PREFIX}boss"


class Stored:
    """Two stored keys, one of them an administrator's; or none."""

    def __init__(self, *, keys: bool = True) -> None:
        self.has_keys = keys

    def caller(self, digest: bytes) -> Caller | None:
        """Whose key has this hash."""
        known = {key_hash(LOW): Caller(key="low"), key_hash(BOSS): Caller(key="boss", admin=True)}
        return known.get(digest) if self.has_keys else None


def result(
    access: Access,
    key: str | None = None,
    method: str = "POST",
    path: str = "/v1/chat/completions",
    *,
    keys: bool = True,
    **headers: str,
) -> str:
    """Who calls, or the code of the refusal."""
    sent = {
        name.encode(): value.encode() for name, value in {"host": "localhost", **headers}.items()
    }
    if key is not None:
        sent[b"authorization"] = b"Bearer " + key.encode()
    found = access.caller(method, path, sent, Stored(keys=keys))
    return (found.code or "") if isinstance(found, Problem) else found.key


KEYED, OPEN = Access(["own-key"], "token"), Access(admin="token")


@pytest.mark.parametrize(
    ("method", "path", "user", "boss"),
    [
        ("POST", "/v1/chat/completions", "low", "boss"),
        ("GET", "/v1/budgets", "low", "boss"),
        ("POST", "/v1/budgets", "admin_only", "boss"),
        ("HEAD", "/v1/budgets", "admin_only", "boss"),
        ("DELETE", "/v1/budgets/x", "admin_only", "boss"),
        ("GET", "/v1/keys", "admin_only", "boss"),
        ("POST", "/v1/keys/k/rotate", "admin_only", "boss"),
        ("GET", "/metrics", "admin_only", "boss"),
        ("GET", "/healthz", "local", "local"),
        ("GET", "/readyz", "local", "local"),
        ("GET", "/openapi.json", "local", "local"),
    ],
)
def test_a_path_is_for_everybody_for_keys_or_for_administrators(
    method: str, path: str, user: str, boss: str
) -> None:
    """Whether keys are configured or stored; without one of them no path but the open ones."""
    own = user.replace("low", "static-" + key_hash("own-key").hex()[:8])
    for access in (KEYED, OPEN):
        assert result(access, LOW, method, path) == user
        assert result(access, BOSS, method, path) == boss
        assert result(access, "token", method, path) == boss.replace("boss", "admin")
        for bad in (None, "", "wrong", f"{STORED_PREFIX}wrong"):
            assert result(access, bad, method, path) == ("local" if user == "local" else _INVALID)
    assert result(KEYED, "own-key", method, path) == own
    assert result(OPEN, "own-key", method, path) == ("local" if user == "local" else _INVALID)


_INVALID = "invalid_api_key"


@pytest.mark.parametrize(
    ("key", "path", "host", "who"),
    [
        (None, "/v1/chat/completions", "localhost", "local"),
        (None, "/v1/chat/completions", "127.0.0.1:4100", "local"),
        (None, "/v1/chat/completions", "[::1]:4100", "local"),
        (None, "/v1/chat/completions", "LOCALHOST:1", "local"),
        (None, "/v1/chat/completions", "evil.test", "host"),
        (None, "/v1/chat/completions", "", "host"),
        ("unused", "/v1/chat/completions", "localhost", "local"),
        ("token", "/v1/chat/completions", "localhost", "local"),
        (LOW, "/v1/chat/completions", "localhost", _INVALID),
        (None, "/metrics", "localhost", "local"),
        (None, "/v1/budgets", "localhost", "local"),
        ("token", "/v1/budgets", "localhost", "admin"),
        (None, "/v1/keys", "localhost", _INVALID),
        ("token", "/v1/keys", "localhost", "admin"),
        ("token", "/v1/keys", "evil.test", "admin"),
    ],
)
def test_without_any_key_this_machine_may_call(
    key: str | None, path: str, host: str, who: str
) -> None:
    """By its own names, and not what is an administrator's; a key that is unknown is no such."""
    assert result(Access(admin="token"), key, "GET", path, keys=False, host=host) == who


def test_a_ledger_without_keys_does_not_open_a_door_that_was_closed() -> None:
    """A reload may bring another ledger; only a process that never knew a key is open."""
    access = Access(admin="token")
    assert result(access, keys=False) == "local"
    assert result(access) == result(access, keys=False) == _INVALID
    assert result(access, "token", keys=False) == "admin"


def test_a_gateway_that_others_reach_lets_nobody_in_without_a_key() -> None:
    """Nor does one that had keys once, and one without an administrator has none."""
    wide = Access(admin="token")
    wide.local = False
    assert result(wide, keys=False) == _INVALID
    assert result(wide, "token", keys=False) == "admin"
    assert result(OPEN) == result(KEYED, keys=False) == _INVALID
    assert (KEYED.keyless, OPEN.keyless) == (False, True)
    for nobody in (Access(), Access(admin="")):
        for key in (None, "", "token"):
            assert result(nobody, key, "GET", "/v1/keys", keys=False) == _INVALID


@pytest.mark.parametrize(
    ("origin", "who"),
    [
        ("http://localhost:3000", "low"),
        ("http://localhost", "low"),
        ("https://app.test", "low"),
        ("https://app.test:1", "origin"),
        ("http://app.test", "origin"),
        ("http://localhost.evil.test", "origin"),
        ("http://evil@localhost", "origin"),
        ("null", "origin"),
        ("", "origin"),
    ],
)
def test_a_page_calls_from_the_gateways_own_host_or_a_listed_origin(origin: str, who: str) -> None:
    """Even with a valid key; what is open to everybody is open to pages."""
    access = Access()
    access.origins = Origins(["https://app.test/"])
    assert result(access, LOW, origin=origin) == who
    assert result(access, LOW, path="/healthz", origin=origin) == "local"


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": f"Bearer {LOW}"},
        {"authorization": f"bearer  {LOW} "},
        {"x-api-key": LOW},
        {"api-key": LOW},
        {"authorization": "Basic x", "api-key": LOW},
        {"authorization": f"Bearer {LOW}", "x-api-key": "wrong"},
        {"x-api-key": LOW, "api-key": "wrong"},
    ],
)
def test_a_key_comes_in_any_clients_header(headers: dict[str, str]) -> None:
    """A bearer's first, then Anthropic's, then Azure's."""
    assert result(OPEN, **headers) == "low"
