"""Limits by request, intent and key: the strictest counts, a request's own quality wins."""

from dataclasses import replace

import pytest
from msgspec import structs

from tests.runtime.world import CODE, FACT, config
from tests.worlds import NOW, features, prediction, request, rulebook
from turnout import ConfigError, Constraints, Decision, Router
from turnout.core import Caller, Request
from turnout.decision import Knobs, decide
from turnout.policies import CheapestAboveQuality
from turnout.testing import FaultyUpstream

KNOBS = Knobs(
    all=Constraints(max_cost_pico_usd=5_000),
    intents={"code": Constraints(quality=0.9, max_latency_ms=800)},
    keys={"team-a": Constraints(quality=0.5, max_cost_pico_usd=900)},
)


def constraints_for(
    *, intent: str = "code", tenant: str | None = None, **own: float
) -> Constraints:
    """The limits of a request with limits of its own."""
    asked = structs.replace(request(constraints=Constraints(**own)), tenant=tenant)  # type: ignore[arg-type]
    return KNOBS.constrain(asked, intent).constraints


def test_a_request_that_nothing_limits_stays_as_it_is() -> None:
    """Nobody has a name that is empty; and whether latency matters is known beforehand."""
    knobs = Knobs(keys={"": Constraints(max_cost_pico_usd=1)})
    asked = structs.replace(request(), tenant="nobody")
    assert knobs.constrain(asked, None) is asked
    slow = Constraints(max_latency_ms=1)
    others = [Knobs(all=slow), Knobs(intents={"code": slow}), Knobs(keys={"k": slow}), KNOBS]
    assert (knobs.limits_latency, {one.limits_latency for one in others}) == (False, {True})


def test_the_strictest_limit_counts() -> None:
    """Whoever set it: all, the intent, the key or the request."""
    assert constraints_for(intent="chat").max_cost_pico_usd == 5_000
    assert constraints_for(tenant="key:team-a").max_cost_pico_usd == 900
    assert constraints_for(tenant="team-a", max_cost_pico_usd=10_000).max_cost_pico_usd == 900
    assert constraints_for(tenant="team-a", max_cost_pico_usd=100).max_cost_pico_usd == 100
    assert constraints_for(max_latency_ms=100.0).max_latency_ms == 100
    assert constraints_for().max_latency_ms == 800


@pytest.mark.parametrize(
    "caller",
    [
        Caller(key="team-a"),
        Caller(key="k1", names=("team-a",)),
        Caller(key="k1", team="team-a"),
        Caller(key="k1", keys=("k1", "team-a")),
        Caller(key="k1", names=("child", "team-a")),
    ],
)
def test_a_key_is_known_by_id_name_team_and_ancestor(caller: Caller) -> None:
    """Any of them may stand in the configuration."""
    asked = structs.replace(request(), caller=caller)
    assert KNOBS.constrain(asked, "chat").constraints.max_cost_pico_usd == 900


def test_of_two_qualities_the_higher_counts_but_a_requests_own_wins() -> None:
    """A caller may ask for less than intent and key do."""
    assert constraints_for(tenant="team-a").quality == 0.9
    assert constraints_for(intent="chat", tenant="team-a").quality == 0.5
    assert constraints_for(tenant="team-a", quality=0.1).quality == 0.1
    assert constraints_for(intent="chat", tenant="stranger").quality is None


def chosen(asked: Request, intent: str = "code") -> Decision:
    """The decision in a world where only the strong model is sure."""
    rules = replace(rulebook(CheapestAboveQuality(quality=0.1)), knobs=KNOBS)
    success = {"model-fast": 0.5, "model-coder": 0.6, "model-strong": 0.9}
    guess = structs.replace(prediction(intent), success=success)
    return decide(asked, features(tokens=1, output=1), guess, NOW, rules)


def test_an_intents_quality_goes_up() -> None:
    """Code is sent to the model that is sure, chat to the cheapest."""
    relaxed = replace(KNOBS, all=Constraints())
    rules = replace(rulebook(CheapestAboveQuality(quality=0.1)), knobs=relaxed)
    success = {"model-fast": 0.5, "model-coder": 0.6, "model-strong": 0.9}
    found = [
        decide(request(), features(), structs.replace(prediction(i), success=success), NOW, rules)
        for i in ("code", "chat")
    ]
    assert [d.deployment for d in found] == ["strong", "fast"]


def test_a_limit_of_the_configuration_excludes_with_its_reason() -> None:
    """No model is cheap enough for this key: everybody says why."""
    decision = chosen(structs.replace(request(), tenant="key:team-a"))
    assert decision.deployment is None
    assert {str(c.excluded) for c in decision.candidates} == {
        "costs more than the limit of the request, its intent or its key"
    }


def test_deciding_again_on_a_limited_request_changes_nothing() -> None:
    """What the ledger stores is the request as it came; the limits are applied again."""
    asked = structs.replace(request(), tenant="key:team-b")
    once = KNOBS.constrain(asked, "code")
    assert KNOBS.constrain(once, "code") == once
    assert chosen(asked) == chosen(once)


def test_the_configuration_sets_them() -> None:
    """By intent and for all; an intent that is not there is refused with those that are."""
    with FaultyUpstream() as upstream:
        qualities = {"fast": 0.5, "coder": 0.7, "strong": 0.9}
        policy = {"name": "cheapest_above_quality", "quality": 0.1}
        knobs = {"intents": {"code": {"quality": 0.95}}}
        settings = config(upstream, policy=policy, knobs=knobs, qualities=qualities)
        with Router.from_config(settings, environ={}) as r:
            assert (r.route(CODE).deployment, r.route(FACT).deployment) == ("strong", "fast")
        settings["knobs"] = {"intents": {"coding": {"quality": 0.95}}}
        with pytest.raises(ConfigError, match="'coding' is not in intents; use one of simple_qa"):
            Router.from_config(settings, environ={})


def test_latency_is_learned_from_answers_and_limits_the_choice() -> None:
    """A model that was slow is left out where the request has no time; others are not touched."""
    with FaultyUpstream(scripts={"acme/coder": "f-slow300ms"}) as upstream:
        with Router.from_config(config(upstream), environ={}) as r:
            r.chat(CODE)
            hurried = r.route(CODE, constraints=Constraints(max_latency_ms=100))
            patient = r.route(CODE)
    assert hurried.deployment != "coder"
    (coder,) = [c for c in hurried.candidates if c.deployment == "coder"]
    assert coder.excluded is not None
    assert "ms of the 100 ms allowed" in str(coder.excluded)
    assert patient.deployment == "coder"
    assert not patient.snapshot.latency_ms


def test_seconds_count_in_utility_when_served() -> None:
    """What was slow loses to what was quick, at the price of a second."""
    policy = {"name": "utility", "per_second": 1.0}
    qualities = {"fast": 0.5, "coder": 0.2, "strong": 0.6}
    with FaultyUpstream(scripts={"acme/strong": "f-slow400ms"}) as upstream:
        settings = config(upstream, policy=policy, qualities=qualities)
        with Router.from_config(settings, environ={}) as r:
            first = r.chat(FACT)
            second = r.route(FACT)
    assert first.decision.deployment == "strong"
    assert second.deployment == "fast"
