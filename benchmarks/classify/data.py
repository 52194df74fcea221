"""The rows to measure on, and small helpers."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from turnout.classifiers import LocalClassifier
from turnout.training.features import Features, extract_features
from turnout.training.intents import no_progress, training_rows
from turnout.training.rows import Row, load

OWN = Path(__file__).parents[2] / "datasets" / "prompts"


def own_files() -> list[Path]:
    """The project's own prompts that training may read."""
    return sorted(path for path in OWN.glob("*.jsonl") if "test" not in path.name)


@cache
def rows_of(data: tuple[Path, ...]) -> list[Row]:
    """The rows that ``turnout train intents`` makes of the data files and our own."""
    return training_rows(load([*data, *own_files()]))


@cache
def features_of(data: tuple[Path, ...]) -> Features:
    """The stages' features of those rows; takes minutes."""
    return extract_features([row.text for row in rows_of(data)], no_progress)


def user_message(text: str) -> list[dict[str, str]]:
    """A conversation with a single prompt."""
    return [{"role": "user", "content": text}]


def blocked_flags(classifier: LocalClassifier, texts: Sequence[str]) -> Any:
    """Which of the texts are refused at the shipped threshold."""
    found = classifier.predict_batch([user_message(text) for text in texts])
    return np.array(
        [(1.0 if p.unsafe is None else p.unsafe) >= classifier.threshold for p in found]
    )
