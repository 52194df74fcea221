"""A cap that is lowered, in each form in which a request holds it."""

from typing import Any

import pytest

from tests.worlds import request
from turnout.providers.caps import with_cap


@pytest.mark.parametrize(
    ("body", "lowered"),
    [
        ({"max_tokens": 900}, {"max_tokens": 800}),
        (
            {"max_tokens": 100, "max_completion_tokens": 900},
            {"max_tokens": 100, "max_completion_tokens": 800},
        ),
        ({"max_output_tokens": 900}, {"max_output_tokens": 800}),
        (
            {"max_tokens": 900, "thinking": {"type": "enabled", "budget_tokens": 850}},
            {"max_tokens": 800, "thinking": {"type": "enabled", "budget_tokens": 700}},
        ),
        (
            {"max_tokens": 900, "thinking": {"type": "enabled", "budget_tokens": 600}},
            {"max_tokens": 800, "thinking": {"type": "enabled", "budget_tokens": 600}},
        ),
        ({"max_tokens": 900, "thinking": "on"}, {"max_tokens": 800, "thinking": "on"}),
    ],
)
def test_nothing_asks_for_more_than_the_cap(body: dict[str, Any], lowered: dict[str, Any]) -> None:
    """What is lower stays, and thoughts leave an eighth of the cap to the answer."""
    found = with_cap(request(**body), 800)
    assert {name: found.body[name] for name in body} == lowered
    assert found.native is None
