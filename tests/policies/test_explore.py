"""Exploration draws a share of the sessions, says so, and records how likely each model was."""

from collections import Counter

import pytest
from msgspec import structs

from tests.worlds import features, prediction, request, rulebook
from turnout import ConfigError, Router
from turnout.core import Constraints, Decision, Exclusion, Snapshot
from turnout.decision import decide
from turnout.policies import Cascade, Cheapest, Explore, IntentMap, Policy, Weighted

_MAP = IntentMap(routes={"code": "coder"}, default="fast")


def decided(
    number: int, session: str | None = None, *, below: Policy = _MAP, share: float = 0.3,
    closed: str = "", model: str = "auto",
) -> Decision:  # fmt: skip
    """The decision on one request about code."""
    asked = structs.replace(request(ident=f"r_{number}", model=model), session=session)
    out = {closed: Exclusion("at_limit", "busy")} if closed else {}
    book = rulebook(Explore(share=share, below=below))
    return decide(asked, features(), prediction(), Snapshot(unavailable=out), book)


def test_a_share_of_the_sessions_goes_to_each_model_alike() -> None:
    """A tenth to each of three, the usual one among them; a session stays where it is."""
    firsts = [{decided(i, f"s{n}").deployment for i in range(3)} for n in range(1000)]
    assert {len(found) for found in firsts} == {1}
    counts = Counter(found.pop() for found in firsts)
    assert 770 < counts["coder"] < 830
    assert 70 < counts["fast"] < 130
    assert 70 < counts["strong"] < 130


def test_requests_without_a_session_are_drawn_one_by_one() -> None:
    """As often; the reason says which were."""
    found = [decided(n) for n in range(1000)]
    drawn = [one for one in found if one.reason == "drawn to explore"]
    assert 250 < len(drawn) < 350
    assert {one.reason for one in found if one not in drawn} == {"code → coder"}
    assert {one.deployment for one in drawn} == {"fast", "coder", "strong"}


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_the_propensities_are_those_of_the_mixture(share: float) -> None:
    """The usual model has what is not drawn and its part of what is, whoever was chosen."""
    for number in range(20):
        found = {c.deployment: c.propensity for c in decided(number, share=share).candidates}
        usual = 1 - share + share / 3
        assert found == pytest.approx({"fast": share / 3, "coder": usual, "strong": share / 3})
    split = Weighted(weights={"fast": 3.0, "strong": 1.0})
    mixed = decided(1, below=split, share=share)
    known = {c.deployment: c.propensity for c in mixed.candidates if c.propensity}
    fast = (1 - share) * 0.75 + share / 2
    assert known == pytest.approx({"fast": fast, "strong": 1 - fast})


def test_the_others_follow_in_their_usual_order() -> None:
    """A drawn model that fails gives way to the one that would have been chosen."""
    usual = [route.deployment for route in decided(0, share=0.0).routes]
    for number in range(50):
        first, *rest = [route.deployment for route in decided(number, share=1.0).routes]
        assert rest == [name for name in usual if name != first]


def test_only_models_that_can_take_the_request_are_drawn() -> None:
    """Limits hold, named models are not explored, and no model at all is none."""
    firsts = {decided(n, share=1.0, closed="strong").deployment for n in range(50)}
    assert firsts == {"fast", "coder"}
    assert {decided(n, share=1.0, model="strong").deployment for n in range(20)} == {"strong"}
    costly = request(constraints=Constraints(max_cost_pico_usd=0))
    book = rulebook(Explore(share=1.0, below=Cheapest()))
    assert decide(costly, features(), prediction(), Snapshot(), book).routes == ()


def test_nothing_is_drafted_where_a_model_is_drawn() -> None:
    """A draw is an answer to learn from; the rest of a cascade stays a cascade."""
    likely = prediction(success={"model-fast": 0.6, "model-coder": 0.7, "model-strong": 0.9})
    roles = Counter[tuple[str, str]]()
    for number in range(200):
        book = rulebook(Explore(share=0.5, below=Cascade(steps=2)))
        asked = request(ident=f"r_{number}")
        found = decide(asked, features(), likely, Snapshot(), book)
        roles["drawn" if "drawn" in found.reason else "usual", found.routes[0].role] += 1
        if "drawn" in found.reason:
            assert "draft" not in {route.role for route in found.routes}
    assert set(roles) == {("drawn", "primary"), ("usual", "draft")}


def test_the_policy_is_named_with_its_share() -> None:
    """So that decisions of another share are told apart."""
    plain = Explore(share=0.05, below=Cheapest()).ref
    assert (plain.name, plain.digest) == ("cheapest", "explore=0.05")
    named = Explore(share=0.1, below=Weighted(weights={"fast": 1.0})).ref
    assert (named.name, named.digest) == ("weighted", "fast=1,explore=0.1")


def test_a_configuration_explores() -> None:
    """``explore`` beside any policy; a share above 1 is refused."""
    settings = {
        "ledger": "off",
        "provider": "runcrate",
        "models": {"fast": "deepseek-ai/DeepSeek-V3.2", "strong": "anthropic/claude-4-sonnet"},
        "default": "fast",
    }
    exploring = {**settings, "policy": {"name": "intent_map", "explore": 1.0}}
    with Router.from_config(exploring, environ={}) as r:
        assert r.route("Write a haiku").reason == "drawn to explore"
        assert isinstance(r.parts.means.rules.policy, Explore)
    with Router.from_config({**settings, "policy": "cheapest"}, environ={}) as r:
        assert isinstance(r.parts.means.rules.policy, Cheapest)
    with pytest.raises(ConfigError, match=r"policy.explore"):
        Router.from_config({**settings, "policy": {"explore": 2}}, environ={})
