"""Rules, from the configuration to the decision."""

import pytest

from tests.gateway.world import world
from tests.runtime.world import CODE, FACT, config
from turnout import ConfigError, Router
from turnout.testing import FaultyUpstream

RULES = [
    {"name": "contracts", "model": "strong", "keywords": ["contract", "clause"]},
    {"name": "tickets", "model": "coder", "pattern": r"\bABC-\d+\b"},
    {"name": "legal", "model": "strong", "tags": {"team": "legal"}},
]


def decided(text: str, otherwise: str = "intent_map", **more: object) -> tuple[str | None, str]:
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
    assert decided(text, **more) == (deployment, reason)


def test_another_policy_may_stand_below_the_rules() -> None:
    """``otherwise`` names it."""
    assert decided(FACT, otherwise="strongest")[0] == "strong"


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"name": "rules"}, "policy rules needs rules"),
        ({"name": "rules", "rules": [{"name": "a", "model": "stong"}]}, "did you mean 'strong'"),
        (
            {"name": "rules", "rules": [{"name": "a", "model": "fast", "pattern": "("}]},
            "not a regular expression",
        ),
        ({"name": "rules", "rules": RULES, "otherwise": "rules"}, "name another one"),
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
