"""A decision alone is the one that an answer would have had, blocking or not."""

import asyncio
from typing import Any

import pytest

from tests.runtime.world import CODE, MODELS, UNSAFE, router
from turnout import InvalidRequest, Router
from turnout.testing import FaultyUpstream


def routed(r: Router, prompt: str, **more: Any) -> list[Any]:
    """The decision by each of the two ways, and the one behind an answer."""
    alone = [r.route(prompt, **more), asyncio.run(r.aroute(prompt, **more))]
    return [*alone, r.chat(prompt, **more).decision]


@pytest.mark.parametrize("prompt", [CODE, UNSAFE])
def test_named_models_that_pass_unread_do_so_everywhere(prompt: str) -> None:
    """What the configuration lets by is let by in all three, and its classifier is none."""
    with FaultyUpstream() as upstream, router(upstream, safety={"pinned": "pass"}) as r:
        found = routed(r, prompt, model="strong")
    assert [d.routes[0].model for d in found] == [MODELS["strong"]] * 3
    assert [d.prediction.classifier.name for d in found] == ["none"] * 3


def test_an_alias_means_the_same_everywhere() -> None:
    """A name that stands for a model is that model, decided alone or answered."""
    with FaultyUpstream() as upstream, router(upstream, aliases={"mine": "coder"}) as r:
        found = routed(r, CODE, model="mine")
    assert [d.routes[0].model for d in found] == [MODELS["coder"]] * 3


@pytest.mark.parametrize("prompt", [5, None, object()])
def test_what_is_no_prompt_is_named(prompt: Any) -> None:
    """The error says what a prompt may be."""
    with FaultyUpstream() as upstream, router(upstream) as r:
        with pytest.raises(InvalidRequest, match="give a text, messages or a whole body"):
            r.route(prompt)
