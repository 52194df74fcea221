"""Joining the local verdict with a label."""

from turnout.classifiers import Band, combine
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


def test_only_unsure_predictions_need_a_label() -> None:
    """A confident, safe prompt asks nobody, low confidence or a middling score do."""
    band = Band(confidence=0.6, unsafe=0.3)
    assert not band.needs_label(LOCAL, 0.9)
    assert band.needs_label(LOCAL, 0.5)
    assert Band(confidence=0.95, unsafe=0.3).needs_label(LOCAL, 0.9)
    assert not Band(confidence=0.9, unsafe=0.3).needs_label(LOCAL, 0.9)
    assert Band(confidence=0.6, unsafe=0.5).needs_label(LOCAL, 0.4)


def test_what_is_blocked_anyway_is_not_asked_about() -> None:
    """No label could lift the block of a high score or of no score at all."""
    band = Band(confidence=1.0, unsafe=0.0)
    assert not band.needs_label(LOCAL, 0.2)
    assert not band.needs_label(Prediction(classifier=Ref(name="local")), 0.5)
