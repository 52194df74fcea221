"""The bounds that decide when the first stage's verdict stands."""

import numpy as np

from turnout.classifiers.gate import Gate


def test_each_safety_score_is_moved_by_its_own_amount_and_the_larger_counts() -> None:
    """Harm comes before injection; the intents in front of them do not count."""
    gate = Gate(sharpness=1, harm=0.5, injection=-2, confidence=1, known=1, unsafe=0, certain=9)
    quick = np.array([[9, 1, 1], [9, 0, 3], [9, -4, -4]], dtype=np.float32)
    assert gate.unsafe_odds(quick).tolist() == [1.5, 1.0, -3.5]
