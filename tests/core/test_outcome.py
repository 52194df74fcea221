"""Sums over a call's tokens, and what a prediction says in one word."""

import pytest

from turnout.core import Prediction, Ref, Usage


def test_every_token_counts_in_one_sum() -> None:
    """Of the prompt, cached or not, or of the answer, thought or said."""
    used = Usage(input=1, cache_read=20, cache_write=300, output=4000, reasoning=50_000)
    assert (used.total_input, used.total_output) == (321, 54_000)


@pytest.mark.parametrize(
    ("used", "empty", "beyond_text"),
    [
        (Usage(), True, False),
        (Usage(estimated=True, hour_cache=True), True, False),
        (Usage(input=1), False, False),
        (Usage(cache_write=1), False, False),
        (Usage(reasoning=1), False, False),
        (Usage(unpriced=True), False, True),
        (Usage(searches=1), False, True),
        (Usage(input=1, audio_input=1), False, True),
        (Usage(output=1, audio_output=1), False, True),
    ],
)
def test_nothing_used_is_nothing_at_all(used: Usage, *, empty: bool, beyond_text: bool) -> None:
    """A search without a token is not nothing: it has a price."""
    assert (used.is_empty, used.costs_beyond_text) == (empty, beyond_text)


def test_a_prediction_names_its_likeliest_intent_and_its_worst_score() -> None:
    """Without intents it is sure of nothing; a score that is no number is the worst."""
    guess = Prediction(classifier=Ref(name="t"), intents=(("code", 0.7), ("chat", 0.3)), harm=0.2)
    assert (guess.intent, guess.confidence, guess.unsafe) == ("code", 0.7, 0.2)
    nothing = Prediction(classifier=Ref(name="t"))
    assert (nothing.intent, nothing.confidence, nothing.unsafe) == (None, 0, None)
    for harm, injection, unsafe in ((0.2, 0.3, 0.3), (None, 0.3, 0.3), (0.9, float("nan"), 1)):
        found = Prediction(classifier=Ref(name="t"), harm=harm, injection=injection)
        assert found.unsafe == unsafe
