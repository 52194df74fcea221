"""A deployment whose provider says in a 200 that nothing is left comes last until the reset."""

import time
from typing import Any

import pytest

from tests.runtime.world import CODE, replied, router
from turnout import Router
from turnout.testing import FaultyUpstream

OPENAI, ANTHROPIC = "f-spent30", "f-spentat30"


def _models(r: Router, times: int, *, stream: bool = False, **more: Any) -> list[str | None]:
    return [replied(r, CODE, stream=stream, **more).decision.deployment for _ in range(times)]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("script", [OPENAI, ANTHROPIC])
def test_another_one_takes_what_comes_before_the_reset(script: str, *, stream: bool) -> None:
    """The first answer tells it; the next one is not tried there, but may be as a last resort."""
    with (
        FaultyUpstream(scripts={"acme/coder": script}) as upstream,
        router(upstream) as r,
    ):
        assert _models(r, 3, stream=stream) == ["coder", "fast", "fast"]
        assert len(upstream.entries("acme/coder")) == 1
        decision = r.route(CODE)
        (told,) = [c for c in decision.candidates if c.deployment == "coder"]
        assert "nothing left of its rate limit for" in told.reason
        assert (told.propensity, decision.routes[-1].deployment) == (0.0, "coder")


def test_where_the_others_fail_it_is_asked_all_the_same() -> None:
    """Nothing left is no failure: it may yet answer."""
    scripts = {"acme/coder": OPENAI, "acme/fast": "f-500", "acme/strong": "f-500"}
    with FaultyUpstream(scripts=scripts) as upstream, router(upstream) as r:
        r.chat(CODE)
        reply = r.chat(CODE)
        assert [o.route.deployment for o in reply.outcomes][-1] == "coder"
        assert reply.outcomes[-1].status == "ok"


def test_the_only_one_is_asked_all_the_same() -> None:
    """Named by the caller, or the only one that is allowed."""
    with (
        FaultyUpstream(scripts={"acme/coder": OPENAI}) as upstream,
        router(upstream) as r,
    ):
        for _ in range(3):
            reply = r.chat(CODE, model="coder")
            assert reply.decision.deployment == "coder"
        assert "and no other" in reply.decision.reason


def test_after_the_reset_it_is_first_again() -> None:
    """Nothing has to happen there before."""
    scripts = {"acme/coder": "f-spent2-fails1"}
    with FaultyUpstream(scripts=scripts) as upstream, router(upstream) as r:
        r.route(CODE)  # loads what the first request would wait for
        assert _models(r, 2) == ["coder", "fast"]
        time.sleep(2)
        assert _models(r, 1) == ["coder"]


def test_what_shares_the_quota_comes_last_too() -> None:
    """Two places of one quota are limited together, as with a 429."""
    places = [{"quota": "one"}, {"quota": "one"}]
    with (
        FaultyUpstream(scripts={"acme/coder": OPENAI}) as upstream,
        router(upstream) as plain,
    ):
        settings = plain.parts.config.model_dump(exclude_unset=True)
        settings["models"]["coder"]["deployments"] = places
        with Router.from_config(settings, environ={}) as r:
            first, second = _models(r, 2)
            assert (first or "").startswith("coder")
            assert second == "fast"
