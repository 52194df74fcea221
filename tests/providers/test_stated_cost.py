"""What a provider says that it charged counts only where it says all of it."""

from typing import Any

import pytest

from turnout.providers.stated_cost import stated_pico_usd


@pytest.mark.parametrize(
    ("usage", "pico_usd"),
    [
        ({"cost": 0.00000285, "is_byok": False}, 2_850_000),
        ({"cost": 1, "is_byok": False, "cost_details": {"upstream_inference_cost": 1}}, 10**12),
        ({"cost": 0, "is_byok": False}, 0),
        (
            {"cost": 0.5, "is_byok": True, "cost_details": {"upstream_inference_cost": 1}},
            15 * 10**11,
        ),
        ({"cost": 0.5, "cost_details": {"upstream_inference_cost": 1}}, 15 * 10**11),
        ({"cost": 0, "is_byok": True}, None),
        ({"cost": 0.5}, None),
        ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0}}, None),
        ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, None),
        ({"cost": 0, "is_byok": True, "cost_details": "none"}, None),
        ({"is_byok": False}, None),
        ({"cost": None, "is_byok": False}, None),
        ({"cost": "0.5", "is_byok": False}, None),
        ({"cost": True, "is_byok": False}, None),
        ({"cost": -0.5, "is_byok": False}, None),
        ({"cost": float("nan"), "is_byok": False}, None),
        ({"cost": float("inf"), "is_byok": False}, None),
        ({"cost": 1e300, "is_byok": False}, None),
        ({"cost": 10**400, "is_byok": False}, None),
        (None, None),
        ([], None),
    ],
)
def test_a_cost_that_may_be_a_part_is_none(usage: Any, pico_usd: int | None) -> None:
    """In chat completions and in Responses, whose last event has the answer inside."""
    assert stated_pico_usd({"usage": usage}) == pico_usd
    assert stated_pico_usd({"type": "response.completed", "response": {"usage": usage}}) == pico_usd
