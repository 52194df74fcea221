"""Cascades through the gateway: every dialect sees the verified answer and nothing of a draft."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.world import Answer, World, chat, messages, world
from tests.runtime.cascades import QUALITY
from tests.runtime.world import FACT, UNSAFE
from turnout import ConfigError
from turnout.ledger import store_at
from turnout.ledger.queries import request_details

JUDGE = {"kind": "model", "model": "judge"}
SURE = {"kind": "logprobs", "at_least": 0.8}
SCHEMA = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}
FORMAT = {"type": "json_schema", "name": "city", "schema": SCHEMA, "strict": True}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        **chat(),
        "response_format": {"type": "json_schema", "json_schema": FORMAT},
    },
    "/v1/messages": {**messages(), "output_config": {"format": FORMAT}},
    "/v1/responses": {"model": "auto", "input": FACT, "text": {"format": FORMAT}},
}
DRAFT, TOP = '{"city": "Kyoto"}', '{"city": "Tokyo"}'
# How a draft is verified, what draft and judge say, how sure the draft is, and whether it passes.
VERDICTS: dict[str, tuple[dict[str, Any], dict[str, str], float, bool]] = {
    "judge accepts": (JUDGE, {"acme/judge": "Yes."}, 1.0, True),
    "judge rejects": (JUDGE, {"acme/judge": "no"}, 1.0, False),
    "schema accepts": ({"kind": "schema"}, {}, 1.0, True),
    "schema rejects": ({"kind": "schema"}, {"acme/fast": '{"city": "Kyoto", "x": '}, 1.0, False),
    "logprobs accept": (SURE, {}, 0.95, True),
    "logprobs reject": (SURE, {}, 0.5, False),
}


@contextmanager
def cascade(verify: dict[str, Any], **more: Any) -> Iterator[World]:
    """A gateway that drafts with ``fast`` and escalates to ``strong``."""
    pytest.importorskip("jsonschema_rs")
    models, prices = {"judge": "acme/judge"}, {"judge": {"input": "0.10", "output": "0.20"}}
    policy = {"name": "cascade", "steps": 2, "verify": verify}
    qualities = {**QUALITY, "judge": 0.1}
    with world(policy=policy, models=models, prices=prices, qualities=qualities, **more) as w:
        w.upstream.replies.update({"acme/fast": DRAFT, "acme/strong": TOP, "acme/coder": TOP})
        yield w


def city_in(answer: Answer, *, stream: bool) -> str:
    """The city of the JSON that the caller reads, in whichever dialect."""
    if not stream:
        texts = [json.loads(answer.body)]
    else:
        texts = [json.loads(data) for _, data in answer.events() if data != "[DONE]"]
    joined = "".join(piece for body in texts for piece in _texts(body))
    return str(json.loads(joined)["city"])


def _texts(body: dict[str, Any]) -> Iterator[str]:
    """The text in an answer or in one event of a stream."""
    for choice in body.get("choices", ()):
        yield choice.get("delta", choice.get("message")).get("content") or ""
    if body.get("type") == "response.output_text.delta":
        yield body["delta"]
    if body.get("type") == "content_block_delta":
        yield body["delta"]["text"]
    if body.get("type") == "message":
        yield from (block["text"] for block in body["content"])
    if body.get("object") == "response":
        yield from (part["text"] for item in body["output"] for part in item["content"])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("case", VERDICTS)
def test_only_the_verified_answer_leaves_and_all_is_paid(
    case: str, path: str, tmp_path: Path, *, stream: bool
) -> None:
    """Text, model, reason and attempts are those of the answer that passed.

    Header, decision and ledger have the cost of draft, verdict and answer, and nothing stays held.
    """
    verify, replies, certain, passes = VERDICTS[case]
    ledger = tmp_path / "ledger.db"
    with cascade(verify, ledger=str(ledger)) as w:
        w.upstream.replies.update(replies)
        w.upstream.certainty["acme/fast"] = certain
        answer = w.post(path, {**BODIES[path], "stream": stream})
        says = {name.removeprefix("x-turnout-"): value for name, value in answer.headers.items()}
        record = w.get(f"/v1/decisions/{says['decision']}").json()
        calls = len(w.upstream.invoice)
    assert (answer.status, city_in(answer, stream=stream)) == (200, "Kyoto" if passes else "Tokyo")
    assert passes or "Kyoto" not in answer.body.decode()
    assert '"logprob":' not in answer.body.decode()
    model, attempts = ("acme/fast", 1) if passes else ("acme/strong", 2)
    assert (says["model"], says["attempts"]) == (model, str(attempts))
    assert says["reason"] == ("draft" if passes else "escalation after acme/fast rejected")
    store = store_at(ledger)
    kept = request_details(store, says["decision"])
    assert len(kept["calls"]) == calls == attempts + (verify is JUDGE)
    assert kept["cost_pico_usd"] == sum(call["cost"] for call in kept["calls"]) > 0
    assert Decimal(str(record["cost_usd"])) * 10**12 == kept["cost_pico_usd"]
    if not stream:
        assert Decimal(says["cost-usd"]) * 10**12 == kept["cost_pico_usd"]
    elif passes:  # all is paid before the head is sent
        assert Decimal(says["expected-cost-usd"]) * 10**12 == kept["cost_pico_usd"]
    assert store.fetch("SELECT count(*) FROM holds") == [(0,)]


@pytest.mark.parametrize("path", BODIES)
def test_an_error_does_not_quote_a_rejected_draft(path: str) -> None:
    """It says where the draft does not fit its schema."""
    draft = {"city": ["canary"], "canary": 1}
    with cascade({"kind": "schema"}, fallbacks={}) as w:
        w.upstream.replies["acme/fast"] = json.dumps(draft)
        w.upstream.scripts.update(
            dict.fromkeys(("acme/strong", "acme/coder", "acme/judge"), "f-500")
        )
        answer = w.post(path, BODIES[path])
    assert answer.status == 502
    assert "does not fit its schema at properties/city/type" in answer.body.decode()
    assert "canary" not in answer.body.decode()


@pytest.mark.parametrize("fault", ["f-500", "f-402", "f-429-ra60", "f-400-filter", "f-hang"])
def test_a_judge_that_fails_is_asked_no_more_while_it_cools_down(fault: str) -> None:
    """A missing verdict is a no; drafts that nobody can judge are not made."""
    with cascade({**JUDGE, "deadline_s": 0.3}, health={"failures": 2, "cooldown_s": 600}) as w:
        w.upstream.scripts["acme/judge"] = fault
        answers = [w.post("/v1/chat/completions", BODIES["/v1/chat/completions"]) for _ in range(4)]
        asked = [entry.model for entry in w.upstream.entries("acme/judge")]
    assert {a.status for a in answers} == {200}
    assert {a.headers["x-turnout-model"] for a in answers} == {"acme/strong"}
    reasons = [a.headers["x-turnout-reason"] for a in answers]
    assert reasons[0] == "escalation after acme/fast rejected"
    cools = fault != "f-400-filter"  # which says nothing of the judge's own state
    assert reasons[-1].startswith("most likely to succeed, and no draft") == cools
    assert len(asked) == (4 if not cools else 2 if fault in ("f-500", "f-hang") else 1)


def test_a_judge_that_only_judges_too_late_still_answers_when_it_is_asked_for() -> None:
    """Its deadline may be too short; the ledger's decision says why nothing was drafted."""
    rules = {"failures": 1, "cooldown_s": 600}
    with cascade({**JUDGE, "deadline_s": 0.3}, health=rules) as w:
        w.upstream.scripts["acme/judge"] = "f-hang"
        first = w.post("/v1/chat/completions", chat())
        del w.upstream.scripts["acme/judge"]
        pinned = w.post("/v1/chat/completions", chat(model="judge"))
        second = w.post("/v1/chat/completions", chat())
        record = w.get(f"/v1/decisions/{second.headers['x-turnout-decision']}").json()
    assert first.headers["x-turnout-reason"] == "escalation after acme/fast rejected"
    assert (pinned.status, pinned.headers["x-turnout-model"]) == (200, "acme/judge")
    assert "no draft could be verified" in second.headers["x-turnout-reason"]
    assert (record["snapshot"]["late_judges"], record["snapshot"]["unavailable"]) == (["judge"], {})


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", BODIES)
def test_an_unsafe_draft_that_was_accepted_is_stopped(path: str, *, stream: bool) -> None:
    """A judge's yes is no verdict on safety; a rejected draft is not scanned."""
    body = {k: v for k, v in BODIES[path].items() if k not in ("response_format", "text")}
    with cascade(JUDGE, safety={"answers": "scan"}) as w:
        w.upstream.replies.update({"acme/fast": UNSAFE, "acme/judge": "yes"})
        stopped = w.post(path, {**body, "stream": stream})
        w.upstream.replies["acme/judge"] = "no"
        passed = w.post(path, {**body, "stream": stream})
        record = w.get(f"/v1/decisions/{passed.headers['x-turnout-decision']}").json()
    assert (stopped.status, passed.status) == (200, 200)
    assert "neighbour" not in (stopped.body + passed.body).decode()
    assert "unsafe score" in stopped.body.decode()
    assert city_in(passed, stream=stream) == "Tokyo"
    assert not any(scan["blocked"] for scan in record["scans"])


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("spoken", ["anthropic", "openai-responses"])
def test_who_tells_no_log_probabilities_drafts_nothing(spoken: str, path: str) -> None:
    """Its draft could only be rejected; if no model tells any, the configuration is refused."""
    with cascade(SURE, speaks={"fast": spoken}) as w:
        w.upstream.certainty["acme/coder"] = 0.95
        answer = w.post(path, BODIES[path])
        assert answer.headers["x-turnout-model"] == "acme/coder"
        assert answer.headers["x-turnout-reason"] == "draft"
    with pytest.raises(ConfigError, match=r"policy\.verify: kind logprobs needs a model"):
        with cascade(SURE, family=spoken):
            pass
