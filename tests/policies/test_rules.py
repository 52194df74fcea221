"""Rules, from the configuration to the decision."""

import time
from datetime import datetime

import pytest

from tests.gateway.world import chat, messages, world
from tests.runtime.world import CODE, FACT, config
from tests.worlds import features, prediction, request
from turnout import ConfigError, Router
from turnout.core import Snapshot
from turnout.decision import decide
from turnout.ledger.records import pack, unpack
from turnout.testing import FaultyUpstream

RULES = [
    {"name": "contracts", "model": "strong", "keywords": ["contract", "clause"]},
    {"name": "tickets", "model": "coder", "pattern": r"\bABC-\d+\b"},
    {"name": "legal", "model": "strong", "tags": {"team": "legal"}},
]


def model_and_reason(
    text: str, otherwise: str = "intent_map", **more: object
) -> tuple[str | None, str]:
    """Deployment and reason for a prompt under the rules."""
    with FaultyUpstream() as upstream:
        policy = {"name": "rules", "rules": RULES, "otherwise": otherwise}
        with Router.from_config(config(upstream, policy=policy), environ={}) as r:
            decision = r.route(text, **more)
    return decision.deployment, decision.reason


@pytest.mark.parametrize(
    ("text", "more", "deployment", "reason"),
    [
        ("What does this CONTRACT say?", {}, "strong", "rule contracts"),
        ("Summarise ticket ABC-17 for me, please", {}, "coder", "rule tickets"),
        (FACT, {"metadata": {"team": "legal"}}, "strong", "rule legal"),
        (FACT, {"metadata": {"team": "sales"}}, "fast", "simple_qa → fast"),
        (CODE, {}, "coder", "code → coder"),
    ],
)
def test_words_patterns_and_metadata_choose(
    text: str, more: dict[str, object], deployment: str, reason: str
) -> None:
    """The first rule that matches wins; without one the intent map goes on."""
    assert model_and_reason(text, **more) == (deployment, reason)


@pytest.mark.parametrize("text", ["Wie lang ist die Lange Straße?", "wie lang ist die STRAßE?"])
def test_a_pattern_sees_the_prompt_as_it_was_written(text: str) -> None:
    """Letters that a change of case turns into others are found, in upper and lower case."""
    rule = {"name": "roads", "model": "coder", "pattern": "straße"}
    policy = {"name": "rules", "rules": [rule]}
    with FaultyUpstream() as upstream:
        with Router.from_config(config(upstream, policy=policy), environ={}) as r:
            assert r.route(text).reason == "rule roads"


def test_another_policy_may_stand_below_the_rules() -> None:
    """``otherwise`` names it."""
    assert model_and_reason(FACT, otherwise="strongest")[0] == "strong"


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"name": "rules"}, "policy rules needs rules"),
        ({"name": "rules", "rules": [{"name": "a", "model": "stong"}]}, "did you mean 'strong'"),
        (
            {"name": "rules", "rules": [{"name": "a", "model": "fast", "pattern": "("}]},
            "not a regular expression",
        ),
        (
            {"name": "rules", "rules": [{"name": "a", "model": "fast", "hours": [22, 22]}]},
            "rules.0.hours: .* which is never; leave it out for always",
        ),
        (
            {"name": "rules", "rules": [{"name": "a", "model": "fast", "hours": ["25:00", 6]}]},
            "hours.0: 25.0: input should be less than or equal to 24",
        ),
        ({"name": "rules", "rules": RULES, "otherwise": "rules"}, "name another one"),
        *(
            ({"name": "rules", "rules": RULES, "timezone": zone}, "timezone: .* like Europe/Berlin")
            for zone in ("Berlin", "Europe", "../etc/passwd", "CEST")
        ),
        ({"name": "cascade"}, "policy cascade needs verify"),
        ({"name": "cascade", "verify": {"kind": "model"}}, "verify kind model needs model"),
        ({"name": "weighted", "weights": {"nobody": 1}}, "'nobody' is not in models"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_fix(policy: dict[str, object], words: str) -> None:
    """A line names the field and what would help."""
    with FaultyUpstream() as upstream, pytest.raises(ConfigError, match=words):
        Router.from_config(config(upstream, policy=policy), environ={})


def test_metadata_counts_in_every_dialect() -> None:
    """Responses and Messages carry it too, where chat's words for it do not."""
    policy = {"name": "rules", "rules": RULES, "otherwise": "intent_map"}
    with world(policy=policy) as w:
        told = {"input": FACT, "metadata": {"team": "legal"}}
        assert w.post("/v1/route", told).json()["reason"] == "rule legal"


@pytest.mark.parametrize("hours", [(22, 6.5), ("22:00", "6:30")])
def test_a_rule_holds_from_its_first_hour_to_just_before_its_last(
    hours: tuple[object, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In UTC, past midnight, in every dialect, whatever the machine's own zone."""
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    nights = {"name": "nights", "model": "strong", "hours": list(hours)}
    policy = {"name": "rules", "rules": [nights], "otherwise": "cheapest"}
    midnight = 20_000 * 86_400.0
    bodies = {
        "/v1/chat/completions": chat(FACT),
        "/v1/messages": messages(FACT),
        "/v1/responses": {"input": FACT},
    }
    found: dict[str, list[float]] = {}
    try:
        with world(policy=policy) as w:
            for hour in (21.999, 22, 23.999, 24, 30.499, 30.5, 36):
                monkeypatch.setattr("time.time", lambda at=midnight + 3600 * hour: at)
                for path, body in bodies.items():
                    reason = w.post(path, body).headers["x-turnout-reason"]
                    found.setdefault(reason, []).append(hour)
    finally:
        monkeypatch.undo()
        time.tzset()
    assert sorted(set(found["rule nights"])) == [22, 23.999, 24, 30.499]
    assert sorted(set(found["lowest expected cost"])) == [21.999, 30.5, 36]
    assert len(found["rule nights"]) == 4 * len(bodies)


# Twenty in the evening to two at night in Berlin, with the night of each change of its clocks.
@pytest.mark.parametrize(
    ("instant", "holds"),
    [
        ("2026-01-15T18:59:59", False),
        ("2026-01-15T19:00:00", True),
        ("2026-01-16T00:59:59", True),
        ("2026-01-16T01:00:00", False),
        ("2026-07-15T17:59:59", False),
        ("2026-07-15T18:00:00", True),
        ("2026-07-16T00:00:00", False),
        ("2026-03-29T00:59:59", True),
        ("2026-03-29T01:00:00", False),
        ("2026-10-24T23:59:59", True),
        ("2026-10-25T00:00:00", False),
        ("2026-10-25T01:00:00", False),
    ],
)
def test_hours_are_those_of_the_clocks_in_the_time_zone(instant: str, *, holds: bool) -> None:
    """In summer and in winter; the ledger's instant gives the same decision again."""
    nights = {"name": "nights", "model": "strong", "hours": ["20:00", "2:00"]}
    policy = {"name": "rules", "rules": [nights], "timezone": "Europe/Berlin"}
    at = datetime.fromisoformat(f"{instant}+00:00").timestamp()
    with FaultyUpstream() as upstream:
        with Router.from_config(config(upstream, policy=policy), environ={}) as r:
            asked, rules = request(FACT), r.parts.means.rules
            made = decide(asked, features(), prediction("code"), Snapshot(as_of=at), rules)
            again_asked, again = unpack(pack(asked, made))
            redone = decide(again_asked, again.features, again.prediction, again.snapshot, rules)
    assert (made.reason == "rule nights") == holds
    assert redone == made


CHORES = {
    "name": "rules",
    "rules": [
        {"name": "chores", "model": "fast", "kind": "background"},
        {"name": "helpers", "model": "coder", "kind": "sub_agent"},
        {"name": "steps", "model": "strong", "kind": "tool_step", "keywords": ["parser"]},
    ],
    "otherwise": "strongest",
}
TITLE = {"system": "You are a title generator. You output ONLY a title.", "max_tokens": 100}


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "rule chores"),
        ({"x-turnout-kind": "sub_agent"}, "rule helpers"),
        ({"x-claude-code-request-class": "workflow"}, "rule helpers"),
        ({"x-claude-code-request-class": "main"}, "rule chores"),
        ({"x-claude-code-request-class": "main", "x-claude-code-agent-id": "a1"}, "rule chores"),
        ({"x-claude-code-agent-id": "a1"}, "rule helpers"),
        (
            {"x-claude-code-request-class": "auxiliary", "x-claude-code-agent-id": "a"},
            "rule chores",
        ),
        ({"x-openai-subagent": "review"}, "rule helpers"),
        ({"x-openai-subagent": "compact"}, "rule chores"),
        ({"x-parent-session-id": "ses_1"}, "rule helpers"),
        ({"x-turnout-kind": "turn", "x-parent-session-id": "ses_1"}, "strongest"),
    ],
)
def test_a_rule_may_name_the_kind_of_call(headers: dict[str, str], reason: str) -> None:
    """It is seen in the body, an agent's own headers say it better, and ours has the last word."""
    with world(policy=CHORES) as w:
        body = {"model": "auto", "messages": [{"role": "user", "content": FACT}], **TITLE}
        told = w.post("/v1/route", body, {"anthropic-version": "2023-06-01", **headers}).json()
        assert told["reason"].startswith(reason)
        kept = w.get(f"/v1/decisions/{told['id']}").json()
        assert kept["features"]["kind"] == told["features"]["kind"]
        odd = w.post("/v1/route", body, {"x-turnout-kind": "chore"})
    assert (odd.status, "tool_step" in odd.json()["error"]["message"]) == (400, True)


@pytest.mark.parametrize(("said", "reason"), [("parser", "rule steps"), ("lexer", "strongest")])
def test_the_kind_is_one_condition_among_others(said: str, reason: str) -> None:
    """All that a rule names must match."""
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": f"Mend the {said}"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "three files"},
    ]
    with world(policy=CHORES) as w:
        told = w.post("/v1/route", {"model": "auto", "messages": messages}).json()
    assert told["reason"].startswith(reason)


def test_without_a_rule_the_kind_changes_nothing() -> None:
    """Whatever a caller says that its call is for, the choice is the same."""
    with world() as w:
        body = {"model": "auto", "messages": [{"role": "user", "content": CODE}]}
        kinds = ("turn", "tool_step", "sub_agent", "background")
        found = [w.post("/v1/route", body, {"x-turnout-kind": kind}).json() for kind in kinds]
    assert {one["routes"][0]["deployment"] for one in found} == {"coder"}
    assert tuple(one["features"]["kind"] for one in found) == kinds
