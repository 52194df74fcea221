"""A caller's own knobs, in headers."""

from pathlib import Path

import pytest

from tests.gateway.world import chat, world
from turnout.gateway.access import Access

QUALITIES = {"fast": 0.5, "coder": 0.7, "strong": 0.9}
POLICY = {"name": "cheapest_above_quality", "quality": 0.95}


@pytest.mark.parametrize(
    ("headers", "model"),
    [
        ({}, "acme/strong"),
        ({"x-turnout-quality": "0.4"}, "acme/fast"),
        ({"x-turnout-quality": "0.7"}, "acme/coder"),
        ({"x-turnout-quality": "1", "x-turnout-max-cost-usd": "0.001"}, "acme/coder"),
    ],
)
def test_a_request_sets_its_own_quality(headers: dict[str, str], model: str) -> None:
    """The header wins over the configuration; a cost limit excludes who would be dearer."""
    with world(policy=POLICY, qualities=QUALITIES) as w:
        answer = w.post("/v1/chat/completions", chat(), headers)
    assert answer.headers["x-turnout-model"] == model
    assert answer.headers["x-turnout-reason"].startswith("cheapest with P(success) >= 0.")


@pytest.mark.parametrize("value", ["1.5", "-1", "high", "nan", ""])
def test_a_quality_that_is_no_share_is_refused(value: str) -> None:
    """400 with the header's name and what it may be."""
    with world(policy=POLICY, qualities=QUALITIES) as w:
        answer = w.post("/v1/chat/completions", chat(), {"x-turnout-quality": value})
    assert answer.status == 400
    assert "x-turnout-quality" in answer.json()["error"]["message"]
    assert "from 0 to 1" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "value", ["1_000", "+1", ".5", "5.", "0x1", "005", " ", "1e", "inf", "1e-99999999999999999999"]
)
def test_what_is_no_number_in_json_is_refused(value: str) -> None:
    """``1_000`` may be meant otherwise by who wrote it than by who reads it."""
    with world() as w:
        answer = w.post("/v1/chat/completions", chat(), {"x-turnout-max-cost-usd": value})
        assert answer.status == 400
        assert "from 0 to 1000000" in answer.json()["error"]["message"]
        for number in ("1000", "0.5", "1e3", "2.5E-1"):
            headers = {"x-turnout-max-cost-usd": number}
            assert w.post("/v1/chat/completions", chat(), headers).status == 200


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("x-turnout-max-cost", "x-turnout-max-cost-usd"),
        ("x-turnout-max-cost-eur", "x-turnout-max-cost-usd"),
        ("x-turnout-latency-ms", "x-turnout-max-latency-ms"),
        ("x-turnout-sesion", "x-turnout-session"),
        ("x-turnout-priorty", "x-turnout-priority"),
    ],
)
def test_a_misspelled_limit_is_refused(name: str, meant: str) -> None:
    """Who sets a limit must not be answered without it."""
    with world() as w:
        answer = w.post("/v1/chat/completions", chat(), {name: "0.001"})
    assert answer.status == 400
    assert (
        answer.json()["error"]["message"] == f"{name} is not a known header; did you mean {meant}?"
    )


@pytest.mark.parametrize("name", ["cost-usd", "decision", "tenant", "cache"])
def test_other_headers_of_ours_change_nothing(name: str) -> None:
    """What answers say may come back through a proxy, and nobody chooses a tenant."""
    with world() as w:
        assert w.post("/v1/chat/completions", chat(), {f"x-turnout-{name}": "7"}).status == 200


@pytest.mark.parametrize(("value", "status"), [("low", 200), ("normal", 200), ("high", 400)])
def test_a_priority_that_there_is_not_is_refused(value: str, status: int) -> None:
    """Nobody comes before the others; who asks for it is told, not served as if it were so."""
    with world() as w:
        answer = w.post("/v1/chat/completions", chat(), {"x-turnout-priority": value})
    assert answer.status == status
    if status == 400:
        said = answer.json()["error"]
        assert said["param"] == "x-turnout-priority"
        assert said["message"] == "x-turnout-priority is 'high'; use low, or leave it out"


def test_knobs_of_a_key_and_an_intent_hold_for_real_keys(tmp_path: Path) -> None:
    """By a key's name or its team's, for its children too; the intent's quality counts beside."""
    admin = "admin-key-0123456789"
    knobs = {
        "intents": {"code": {"quality": 0.7}},
        "keys": {"poor": {"max_cost_usd": 0.001}, "calm": {"quality": 0.1}},
    }
    more = {"policy": POLICY, "qualities": QUALITIES, "ledger": str(tmp_path / "ledger.db")}
    with world(access=Access(admin=admin), knobs=knobs, **more) as w:

        def made(**fields: str) -> dict[str, str]:
            key: dict[str, str] = w.post("/v1/keys", fields, {"x-api-key": admin}).json()
            return key

        def model(key: dict[str, str], text: str, **headers: str) -> str:
            told = {"authorization": f"Bearer {key['key']}"}
            told |= {f"x-turnout-{name.replace('_', '-')}": to for name, to in headers.items()}
            answer = w.post("/v1/chat/completions", chat(text), told)
            return answer.headers["x-turnout-model"].removeprefix("acme/")

        fact, code = "What is the capital of Japan?", "Write a Python function to parse CSV"
        poor, calm = made(name="poor"), made(name="ours", team="calm")
        child = made(name="child", parent=poor["id"])
        free = made(name="free")
        assert [model(free, text) for text in (fact, code)] == ["strong", "coder"]
        assert [model(calm, text) for text in (fact, code)] == ["fast", "coder"]
        for key in (poor, child):
            assert model(key, fact) == "coder"
            assert model(key, fact, max_cost_usd="1") == "coder"
            assert model(key, fact, quality="0.1") == "fast"
