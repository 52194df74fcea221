"""Money is exact."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.core import format_usd, pico_from_usd, pico_per_token, usd_from_pico
from turnout.core.money import exact_usd, plain_usd, usd


@given(st.integers(min_value=0, max_value=10**18))
def test_pico_and_usd_are_inverse(pico: int) -> None:
    """Every whole number of pico-dollars survives the way to dollars and back."""
    assert pico_from_usd(usd_from_pico(pico)) == pico


def test_a_fraction_of_a_pico_dollar_is_rounded_up() -> None:
    """Nothing is billed below its price."""
    assert pico_from_usd("0.0000000000001") == 1
    assert pico_per_token("0.0000001") == 1


def test_list_prices_are_whole_pico_dollars_a_token() -> None:
    """The recipe's prices need no rounding."""
    assert pico_per_token("0.27") == 270_000
    assert pico_per_token(Decimal(15)) == 15_000_000


@pytest.mark.parametrize("bad", ["x", "", "nan", "inf"])
def test_what_is_no_amount_is_refused(bad: str) -> None:
    """Text that is no finite number raises, and never becomes zero."""
    with pytest.raises(ValueError, match="not an amount"):
        pico_from_usd(bad)


@pytest.mark.parametrize(
    ("pico", "places", "shown"),
    [
        (1, 6, "$0.000001"),
        (None, 6, "unknown"),
        (0, 2, "$0.00"),
        (-1, 6, "$0.000000"),
        (-2_500_000_000_000, 1, "-$2.5"),
    ],
)
def test_people_see_dollars_rounded_up_or_unknown(
    pico: int | None, places: int, shown: str
) -> None:
    """An unknown cost is said to be unknown, and nothing has no sign."""
    assert format_usd(pico, places=places) == shown


def test_programs_get_the_exact_amount() -> None:
    """As a decimal text with or without trailing zeros, or as a number; unknown stays unknown."""
    half = 5 * 10**11
    assert (exact_usd(half), exact_usd(-1)) == ("0.500000000000", "-0.000000000001")
    assert (plain_usd(half), plain_usd(-1), plain_usd(0)) == ("0.5", "-0.000000000001", "0")
    assert (usd(half), usd(0), usd(None)) == (0.5, 0, None)
