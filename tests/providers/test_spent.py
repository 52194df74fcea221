"""What the head of an answer says is left of a provider's rate limits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.providers.spent import spent_for_s
from turnout.providers.waiting import LONGEST_WAIT_S

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z
HERE = "Tue, 14 Nov 2023 22:13:20 GMT"
REQUESTS, TOKENS = "x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens"
ANTHROPIC = "anthropic-ratelimit-input-tokens"


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("20ms", 0.02),
        ("8.64s", 8.64),
        ("1h2m3.5s", 3723.5),
        ("2d", LONGEST_WAIT_S),
        ("500us", 0.0005),
        ("17", 17.0),
        ("1700000012", 12.0),
        ("2023-11-14T22:14:20Z", 60.0),
        ("2023-11-14T23:14:20.5+01:00", 60.5),
        ("2023-11-14T22:13:00Z", 0.0),
        ("2023-11-14T22:14:20", 0.0),
        ("s", 0.0),
        ("6m 0s", 0.0),
        ("-1s", 0.0),
        ("soon", 0.0),
        ("nan", 0.0),
        ("", 0.0),
    ],
)
def test_every_form_of_a_reset_is_understood(reset: str, seconds: float) -> None:
    """Go's durations, seconds, unix times and RFC 3339; garbage holds nobody back."""
    headers = {REQUESTS: "0", "x-ratelimit-reset-requests": reset}
    assert spent_for_s(headers, NOW) == pytest.approx(seconds)
    named = {f"{ANTHROPIC}-remaining": "0", f"{ANTHROPIC}-reset": reset}
    assert spent_for_s(named, NOW) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"content-type": "text/event-stream"}, None),
        ({"x-ratelimit-reset-requests": "5s"}, None),
        ({REQUESTS: "many", "x-ratelimit-reset-requests": "5s"}, None),
        ({REQUESTS: "1", "x-ratelimit-reset-requests": "5s"}, 0.0),
        ({REQUESTS: "0"}, 0.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1700000030"}, 30.0),
        ({REQUESTS: "9", TOKENS: "0", "x-ratelimit-reset-tokens": "2s"}, 2.0),
        (
            {
                REQUESTS: "0",
                "x-ratelimit-reset-requests": "3s",
                TOKENS: "0",
                "x-ratelimit-reset-tokens": "2s",
            },
            3.0,
        ),
    ],
)
def test_only_a_limit_of_which_nothing_is_left_counts(
    headers: dict[str, str], seconds: float | None
) -> None:
    """The longest of these; 0 where something is left of all, None where nothing is told."""
    assert spent_for_s(headers, NOW) == seconds


def test_the_answers_own_date_wins_over_our_clock() -> None:
    """A wrong clock on this machine changes no wait; without any, a date says nothing."""
    headers = {f"{ANTHROPIC}-remaining": "0", f"{ANTHROPIC}-reset": "2023-11-14T22:13:50Z"}
    assert spent_for_s({**headers, "date": HERE}, NOW - 10_000) == 30.0
    assert spent_for_s(headers) == 0.0


@given(st.text(max_size=30), st.text(max_size=10))
def test_any_text_gives_a_time_within_a_day_or_nothing(reset: str, left: str) -> None:
    """Total: never an error, never a negative or endless time."""
    headers = {REQUESTS: left, "x-ratelimit-reset-requests": reset}
    found = spent_for_s(headers, NOW)
    assert found is None or 0 <= found <= LONGEST_WAIT_S
