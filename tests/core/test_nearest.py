"""Names that are suggested where another was given."""

import pytest

from turnout.core.nearest import MISSPELLED, did_you_mean, nearest

MODELS = ["fast", "strong", "deepseek-ai/DeepSeek-V3.2"]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("fsat", "fast"),
        ("STRONG", "strong"),
        ("deepseek-v3.2", "deepseek-ai/DeepSeek-V3.2"),
        ("whatever else", None),
        ("", None),
    ],
)
def test_the_nearest_name_case_aside(given: str, found: str | None) -> None:
    """It is told as it is written where it is known."""
    assert nearest(given, MODELS) == found


@pytest.mark.parametrize(
    ("given", "found"), [("max-cost", "max-cost-usd"), ("session", "session"), ("cost", None)]
)
def test_what_must_be_a_misspelling_is_nearly_the_name(given: str, found: str | None) -> None:
    """Refusing a name for being like another one takes more than a likeness."""
    assert nearest(given, ["max-cost-usd", "session"], MISSPELLED) == found


def test_if_no_name_is_alike_all_are_listed() -> None:
    """So that the fix is always there."""
    assert did_you_mean("fats", MODELS) == "did you mean 'fast'?"
    assert did_you_mean("zzz", MODELS[:2]) == "use one of fast, strong"
