"""The first stage's rows of texts."""

import numpy as np
import pytest

from turnout.classifiers.artefact import Artefact
from turnout.classifiers.first import FirstStage

TEXTS = (
    "What is the capital of Japan?",
    "a a a a",
    "राजधानी 😀 क्या है 𓀀𓀁",
    "",
    "用三句话总结。",
    "x",
)


@pytest.mark.parametrize("count", range(1, len(TEXTS) + 1))
def test_rows_of_several_texts_are_those_of_each(count: int) -> None:
    """Also where a text has words without pieces, or nothing at all."""
    first = FirstStage(Artefact.load(None).arrays)
    rows, starts = first.rows_of(TEXTS[:count])
    for text, found in zip(TEXTS, np.split(rows, starts[1:]), strict=False):
        assert found.tolist() == first.rows(text).tolist()
