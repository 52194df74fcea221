"""Several keys and places of one model at real servers: failover, quotas, load, price limit."""

import asyncio
from typing import Any

import pytest

from tests.runtime.world import CODE, config
from turnout import Router
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
