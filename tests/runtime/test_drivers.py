"""The asynchronous, the blocking and the replay driver walk a plan alike."""

import pytest

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


def steps(outcomes: tuple[Outcome, ...]) -> list[tuple[str, int, str, str | None]]:
    """What matters of a walk: who was tried, in which order, and how each attempt ended."""
    return [
        (o.route.deployment, o.ordinal, o.status, o.error.kind if o.error else None)
        for o in outcomes
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
