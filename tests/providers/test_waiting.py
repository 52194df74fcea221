"""How long a provider asks to wait, in every form it says so."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.providers.waiting import LONGEST_WAIT_S, retry_after_s

NOW = 1_700_000_000.0
HERE = "Tue, 14 Nov 2023 22:13:20 GMT"
LATER = "Tue, 14 Nov 2023 22:13:50 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "5"}, 5.0),
        ({"retry-after": " 5 "}, 5.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "1000000000"}, LONGEST_WAIT_S),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": LATER}, 30.0),
        ({"retry-after": HERE}, 0.0),
        ({"retry-after": "Tue, 99 Nov 2023 22:13:50 GMT"}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "9"}, 9.0),
        ({"x-ratelimit-reset": "1700000012"}, 12.0),
        ({"x-ratelimit-reset": "1700000012000"}, 12.0),
        ({"x-ratelimit-reset": "1699999999"}, 0.0),
        ({"x-ratelimit-reset": "7"}, 7.0),
        ({"x-ratelimit-reset": "never"}, None),
        ({"retry-after": "3", "x-ratelimit-reset": "1700000012"}, 3.0),
        ({"retry-after": "soon", "x-ratelimit-reset": "1700000012"}, 12.0),
    ],
)
def test_every_form_is_understood(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, decimals, dates, milliseconds and unix times; garbage counts as absent."""
    assert retry_after_s(headers, NOW) == seconds


def test_the_answers_own_date_wins_over_our_clock() -> None:
    """A wrong clock on this machine does not change a wait given as a date."""
    headers = {"retry-after": LATER, "date": HERE}
    assert retry_after_s(headers, NOW - 10_000) == 30.0
    assert retry_after_s(headers) == 30.0


def test_a_date_without_any_clock_is_not_guessed() -> None:
    """Without a date to compare with, a date says nothing."""
    assert retry_after_s({"retry-after": LATER}) is None


@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms", "x-ratelimit-reset", "date"]),
        st.text(string.printable, max_size=30),
    )
)
def test_no_header_is_an_error(headers: dict[str, str]) -> None:
    """Any text gives a wait between zero and a day, or none."""
    wait_s = retry_after_s(headers, NOW)
    assert wait_s is None or 0 <= wait_s <= LONGEST_WAIT_S
