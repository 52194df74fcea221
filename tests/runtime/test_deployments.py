"""Several keys and places of one model at real servers: failover, quotas, load, price limit."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.world import CODE, STORY, config
from turnout import BudgetExceeded, NoEligibleDeployment, Router
from turnout.core import ConfigError, Constraints
from turnout.testing import FaultyUpstream


def settings(upstream: FaultyUpstream, *places: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The recipe with the coder at these places."""
    found = config(upstream, ledger="off", **more)
    found["models"]["coder"]["deployments"] = list(places)
    return found


def served_by(upstream: FaultyUpstream) -> list[str]:
    """The keys that the chat calls carried, in order."""
    asked = [r for r in upstream.requests if r.path.endswith("/chat/completions")]
    return [r.headers["authorization"].removeprefix("Bearer ") for r in asked]


def test_a_refused_key_leaves_the_model_to_the_other_key() -> None:
    """A 401 closes the place with that key only; the answer is the same model's."""
    with FaultyUpstream(api_key="good") as upstream:
        places = {"api_key": "bad", "weight": 1000}, {"api_key": "good", "weight": 0.001}
        with Router.from_config(settings(upstream, *places), environ={}) as router:
            first, second = router.chat(CODE), router.chat(CODE)
        assert first.body["model"] == second.body["model"] == "acme/coder"
        assert served_by(upstream) == ["bad", "good", "good"]
    assert [o.route.provider for o in first.outcomes] == ["coder", "coder#2"]


def test_two_places_behind_one_quota_cool_down_together() -> None:
    """A 429 closes both; the place behind another quota answers, and no cooled one is called."""
    with FaultyUpstream() as upstream:
        places = (
            {"api_key": "a", "quota": "one", "weight": 1000},
            {"api_key": "b", "quota": "one", "weight": 100},
            {"api_key": "c", "model": "acme/coder-2", "weight": 0.0001},
        )
        chosen = settings(upstream, *places, models={"coder": "f-429-ra60"})
        with Router.from_config(chosen, environ={}) as router:
            replies = [router.chat(CODE, model="coder") for _ in range(4)]
        keys = served_by(upstream)
    assert {reply.body["model"] for reply in replies} == {"acme/coder-2"}
    assert keys in (["a", "c", "c", "c", "c"], ["b", "c", "c", "c", "c"])


async def test_callers_who_arrive_together_do_not_exceed_the_limit(tmp_path: Path) -> None:
    """Of twenty at a time two are called, though each is recorded before it begins."""
    async with FaultyUpstream(scripts={"acme/coder": "f-slow200ms"}) as upstream:
        chosen = config(upstream, ledger=str(tmp_path / "l.db"), fallbacks={"coder": []})
        chosen["health"] = {"max_in_flight": 2}
        async with Router.from_config(chosen, environ={}) as router:
            calls = [router.achat(CODE, model="code") for _ in range(20)]
            ends = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(end, NoEligibleDeployment) for end in ends) == 18
        assert len(upstream.invoice) == 2


@pytest.mark.parametrize("when_full", ["refuse", "cheaper"])
async def test_a_choice_that_a_budget_refuses_takes_no_place(
    tmp_path: Path, when_full: str
) -> None:
    """Else a caller whose budget is full would keep others from the model."""
    with FaultyUpstream() as upstream:
        chosen = config(upstream, ledger=str(tmp_path / "l.db"), health={"max_in_flight": 1})
        chosen["budgets"] = [
            {"per": "all", "window": "total", "usd": "0.001", "when_full": when_full}
        ]
        async with Router.from_config(chosen, environ={}) as router:
            if when_full == "refuse":
                with pytest.raises(BudgetExceeded):
                    await router.achat(STORY, max_tokens=1000)
            else:
                reply = await router.achat(STORY, max_tokens=1000)
                assert reply.body["model"] == "acme/fast"
            assert router.parts.means.health.outstanding(["strong"]) == {"strong": 0}


async def test_load_goes_to_the_place_with_fewest_calls_under_way() -> None:
    """Of forty calls that are all under way at a time each of two equal places has half."""
    async with FaultyUpstream(scripts={"acme/coder": "f-hang"}) as upstream:
        places = {"api_key": "a"}, {"api_key": "b"}
        patient = {"connect_s": 60, "first_token_s": 60, "inter_token_s": 60, "total_s": 60}
        chosen = settings(upstream, *places, timeouts=patient)
        async with Router.from_config(chosen, environ={}) as router:
            calls = [asyncio.ensure_future(router.achat(CODE, model="coder")) for _ in range(40)]
            while len(served_by(upstream)) < len(calls):  # noqa: ASYNC110 -- another thread-free server
                await asyncio.sleep(0.02)
            keys = served_by(upstream)
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
    assert abs(keys.count("a") - keys.count("b")) <= 2


def test_a_place_beyond_the_price_limit_is_no_fallback() -> None:
    """The dear place of the model is not called, though the other one fails."""
    with FaultyUpstream() as upstream:
        dear = {"model": "acme/dear", "api_key": "b", "price": {"input": "900", "output": "900"}}
        chosen = settings(upstream, {"api_key": "a"}, dear, models={"coder": "f-500"})
        with Router.from_config(chosen, environ={}) as router:
            limit = Constraints(max_cost_pico_usd=10**9)
            with pytest.raises(Exception, match="500"):
                router.chat(CODE, model="coder", constraints=limit)
        assert not upstream.entries("acme/dear")


def test_a_wrong_place_names_its_line() -> None:
    """An unknown key inside a place is an error that says where."""
    with FaultyUpstream() as upstream:
        with pytest.raises(ConfigError, match=r"deployments\.0.*unknown key 'wieght'"):
            Router.from_config(settings(upstream, {"wieght": 1}), environ={})
