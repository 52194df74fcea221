"""Provider texts without secrets."""

import pytest

from turnout.providers.scrub import MAX_DETAIL, scrub


@pytest.mark.parametrize(
    "text",
    [
        "Incorrect API key provided: sk-proj-abc123DEF456",
        "Incorrect API key provided: sk-ab******************cd12.",
        "bad token rc_live_0a1b2c3d4e5f",
        "Authorization: Bearer abcdefghijkl",
        "authorization='Basic dXNlcjpwYXNz'",
        "url /v1/models?key=AIzaSyA1234567890abcdef&x=1",
        "no answer from https://me:hunter2@host/v1",
        "headers: {'x-api-key': 'hunter2secret'}",
        "api_key=hunter2secret was refused",
        "jwt eyJhbGciOiJIUzI1.eyJzdWIiOiIx.abc-def is expired",
        "gsk_abcdef1234567890 is revoked",
        "hf_abcdef1234567890 is revoked",
        "xai-abcdef1234567890 is revoked",
    ],
)
def test_what_looks_like_a_key_is_hidden(text: str) -> None:
    """Keys in the shapes vendors use do not survive, whoever they belong to."""
    hidden = scrub(text)
    assert "[redacted]" in hidden
    for secret in ("abc123", "cd12", "0a1b2c", "abcdefgh", "dXNlcj", "SyA123", "hunter2", "eyJ"):
        assert secret not in hidden.replace("[redacted]", "")


@pytest.mark.parametrize(
    "text",
    [
        "The model gpt-4o does not exist",
        "HTTP 429: rate limit reached for requests per min",
        "too many tokens requested",
        "task-based limits apply",
        "token limit exceeded",
    ],
)
def test_plain_words_stay(text: str) -> None:
    """Ordinary error texts are not mangled."""
    assert scrub(text) == text


def test_known_secrets_are_hidden_in_any_shape() -> None:
    """A key that looks like nothing is hidden when it is known."""
    assert scrub("no such key: plain-canary!", {"plain-canary!"}) == "no such key: [redacted]"


def test_a_long_secret_is_hidden_before_its_beginning() -> None:
    """Of two secrets where one begins with the other, nothing of the longer is left."""
    assert scrub("abcd-efgh", {"abcd", "abcd-efgh"}) == "[redacted]"


def test_details_are_one_short_line() -> None:
    """Line breaks and control characters become blanks, and length is bounded."""
    assert scrub("a\r\nb\x00\tc") == "a b c"
    assert len(scrub("word " * 1000)) == MAX_DETAIL
