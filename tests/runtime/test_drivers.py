"""The asynchronous, the blocking and the replay driver walk a plan alike."""

import pytest

from tests.runtime.cascades import cascade
from tests.runtime.world import CODE, router
from turnout import AllRoutesFailed, Outcome, Reply, Router
from turnout.decision import Attempt, RetryRules
from turnout.evaluation.replay import replay
from turnout.testing import FaultyUpstream

SCRIPTS = [
    {},
    {"coder": "f-500"},
    {"coder": "f-429-ra5", "fast": "f-html200"},
    {"coder": "f-402"},
    {"coder": "f-hang", "fast": "f-reset@0", "strong": "f-empty"},
]


# What the judge says, and what goes wrong besides.
CASCADES: list[tuple[str, dict[str, str]]] = [
    ("yes", {}),
    ("no", {}),
    ("no", {"acme/strong": "f-500"}),
    ("yes", {"acme/fast": "f-html200"}),
    ("no", {"acme/judge": "f-402"}),
]


def steps(outcomes: tuple[Outcome, ...]) -> list[tuple[str, int, str, str | None]]:
    """What matters of a walk: who was tried, in which order, and how each attempt ended."""
    return [
        (o.route.deployment, o.ordinal, o.status, o.error.kind if o.error else None)
        for o in outcomes
        if o.is_answer
    ]


def blocking(r: Router) -> Reply | AllRoutesFailed:
    """The blocking driver's end."""
    try:
        return r.chat(CODE)
    except AllRoutesFailed as error:
        return error


async def awaiting(r: Router) -> Reply | AllRoutesFailed:
    """The asynchronous driver's end."""
    try:
        return await r.achat(CODE)
    except AllRoutesFailed as error:
        return error


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda s: "+".join(s.values()) or "honest")
async def test_all_three_agree(script: dict[str, str]) -> None:
    """Blocking equals asynchronous, and replaying their outcomes walks the same way."""
    with FaultyUpstream() as upstream:
        async with router(upstream, models=script) as r:
            awaited = await awaiting(r)
        with router(upstream, models=script) as r:
            decision = r.route(CODE)
            blocked = blocking(r)
    assert steps(awaited.outcomes) == steps(blocked.outcomes)

    by_ordinal = {o.ordinal: o for o in awaited.outcomes}

    def look_up(attempt: Attempt) -> Outcome:
        return by_ordinal[attempt.ordinal]

    replayed = replay(decision, RetryRules(retries=1, base_s=0.01, longest_wait_s=2), look_up)
    assert steps(replayed) == steps(awaited.outcomes)


@pytest.mark.parametrize(("verdict", "scripts"), CASCADES)
async def test_all_three_agree_on_cascades(verdict: str, scripts: dict[str, str]) -> None:
    """A draft is rejected, escalated and paid for alike, streamed or not."""
    verify = {"kind": "model", "model": "judge"}
    with FaultyUpstream(replies={"acme/judge": verdict}, scripts=scripts) as upstream:
        async with cascade(upstream, verify) as r:
            awaited = await awaiting(r)
        with cascade(upstream, verify) as r:
            decision = r.route(CODE)
            blocked = blocking(r)
        with cascade(upstream, verify) as r:
            stream = r.chat(CODE, stream=True)
            assert list(stream)
            streamed = stream.reply
    assert "draft" in [route.role for route in decision.routes]
    assert steps(awaited.outcomes) == steps(blocked.outcomes)
    assert [s[0] for s in steps(streamed.outcomes)] == [s[0] for s in steps(awaited.outcomes)]

    by_ordinal = {o.ordinal: o for o in awaited.outcomes if o.is_answer}

    def look_up(attempt: Attempt) -> Outcome:
        return by_ordinal[attempt.ordinal]

    replayed = replay(decision, RetryRules(retries=1, base_s=0.01, longest_wait_s=2), look_up)
    assert steps(replayed) == steps(awaited.outcomes)
