"""Joining the local verdict with a label."""

from turnout.classifiers import combine, unsure
from turnout.core import Prediction, Ref

LOCAL = Prediction(
    classifier=Ref(name="local"), intents=(("code", 0.9), ("chat", 0.1)), harm=0.2, injection=0.1
)


def test_a_label_is_kept_beside_the_scores() -> None:
    """A label never lifts what the local classifier found."""
    joined = combine(LOCAL, "creative")
    assert (joined.label, joined.harm, joined.label_failure) == ("creative", 0.2, None)


def test_a_missing_label_says_why() -> None:
    """Routing goes to the default on a failure, and safety stays with the local scores."""
    joined = combine(LOCAL, None, "no label within 2 s")
    assert (joined.label, joined.label_failure) == (None, "no label within 2 s")
    assert joined.unsafe == LOCAL.unsafe


def test_only_the_band_asks() -> None:
    """A confident, safe prompt asks nobody; low confidence, a middling score or none do."""
    band = (0.6, 0.3, 1.6)
    assert not unsure(LOCAL, 0.9, band)
    assert unsure(LOCAL, 0.5, band)
    assert unsure(Prediction(classifier=Ref(name="local")), 0.5, band)
