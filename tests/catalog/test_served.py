"""Whose price bills a call when the provider names the model that it served."""

from dataclasses import replace

import pytest

from tests.worlds import catalog, deployment, price
from turnout.catalog import Deployment, ModelCard, billed_deployment, is_other_model


@pytest.mark.parametrize(
    ("called", "served", "other"),
    [
        ("gpt-4o", None, False),
        ("gpt-4o", "gpt-4o", False),
        ("gpt-4o", "GPT-4o-2024-08-06", False),
        ("gpt-4", "gpt-4-0613", False),
        ("claude-x@20250101", "claude-x", False),
        ("claude-x", "claude-x-latest", False),
        ("openai/gpt-4o", "azure/gpt-4o", False),
        ("gpt-4o", "gpt-4o-mini", True),
        ("gpt-4o-mini", "gpt-4o", True),
        ("gpt-4", "gpt-4-1106-preview", True),
        ("gpt-4o-2024-08-06", "gpt-4o-2024-11-20", True),
    ],
)
def test_a_dated_release_is_the_same_model(called: str, served: str | None, *, other: bool) -> None:
    """In any spelling, and whichever of the two has the date; a variant is another one."""
    assert is_other_model(called, served) is other


def _of(model: str, name: str, provider: str = "p") -> Deployment:
    return replace(deployment(name, price(1, 1), provider=provider), card=ModelCard(id=model))


def test_another_model_is_billed_at_its_own_price_at_the_same_provider() -> None:
    """If it is configured there; elsewhere its price is another one, so that it is unknown."""
    called, other, elsewhere = _of("big", "a"), _of("small", "b"), _of("tiny", "c", "q")
    cards = catalog(called, other, elsewhere)
    assert billed_deployment(called, None, cards) is called
    assert billed_deployment(called, "BIG-2026-01-01", cards) is called
    assert billed_deployment(called, "big-latest", catalog(other)) is called
    assert billed_deployment(called, "small", cards) is other
    assert billed_deployment(called, "tiny", cards) is None
    assert billed_deployment(called, "unheard", cards) is None
