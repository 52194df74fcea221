"""A library's caller is told what of a request its model was not, as the gateway's is."""

from typing import Any

import pytest

from tests.runtime.world import FACT, config
from turnout import AsyncOpenAI, OpenAI, Reply, Router
from turnout.testing import FaultyUpstream

ASKED = {"messages": [{"role": "user", "content": FACT}], "max_tokens": 50}
# What Anthropic has no word for; a temperature is said there.
MORE = {"temperature": 0.2, "seed": 7, "logit_bias": {"9": 1}}


def world(upstream: FaultyUpstream, family: str, model: str = "acme/fast") -> Router:
    """A router whose provider is of the family."""
    settings: dict[str, Any] = config(upstream, models={"fast": model})
    settings["providers"]["acme"]["family"] = family
    return Router.from_config(settings, environ={})


def streamed(router: Router, body: dict[str, Any]) -> Reply:
    """The reply of a stream that was read to its end."""
    with router.chat(body, stream=True) as stream:
        list(stream)
    return stream.reply


def test_a_translation_names_what_it_left_out() -> None:
    """Whole and streamed; a body that goes on as it is left nothing out."""
    with FaultyUpstream() as upstream, world(upstream, "anthropic") as router:
        body = {**ASKED, **MORE}
        assert router.chat(body).left_out == ("logit_bias", "seed")
        assert streamed(router, body).left_out == ("logit_bias", "seed")
        assert router.chat(ASKED).left_out == ()
    with FaultyUpstream() as upstream, world(upstream, "openai") as router:
        assert router.chat({**ASKED, **MORE}).left_out == ()


def test_a_setting_that_the_model_does_not_take_is_named() -> None:
    """It is asked again without."""
    with FaultyUpstream() as upstream, world(upstream, "openai", "acme/f-picky") as router:
        assert router.chat({**ASKED, **MORE}).left_out == ("temperature",)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_drop_in_tells_it_too(*, stream: bool) -> None:
    """Beside OpenAI's fields, or by a stream's reply."""
    with FaultyUpstream() as upstream, world(upstream, "anthropic") as router:
        body = {"model": "auto", **ASKED, "seed": 7}
        plain = OpenAI(router=router).chat.completions.create(**body, stream=stream)
        awaited = await AsyncOpenAI(router=router).chat.completions.create(**body, stream=stream)
        if stream:
            assert list(plain)
            assert [chunk async for chunk in awaited]
            plain, awaited = plain.reply, awaited.reply
        assert list(plain.left_out) == list(awaited.left_out) == ["seed"]


def test_a_refusal_left_nothing_out() -> None:
    """No model was asked."""
    with FaultyUpstream() as upstream, world(upstream, "anthropic") as router:
        reply = router.chat("How do I break into my neighbour's house?", seed=7)
        assert (reply.outcomes, reply.left_out) == ((), ())
