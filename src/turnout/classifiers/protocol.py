"""What a classifier is to those who use one."""

from collections.abc import Sequence
from typing import Any, Protocol

from turnout.core import Message, Prediction, Ref


class Classifier(Protocol):
    """Predicts intents and safety of conversations in OpenAI's message shape.

    Scores are in [0, 1], and what is predicted in a batch is what is predicted alone.
    """

    @property
    def intents(self) -> tuple[str, ...]:
        """The benign labels that it knows."""
        ...

    @property
    def threshold(self) -> float:
        """The unsafe score that blocks."""
        ...

    @property
    def ref(self) -> Ref:
        """Its name, version and content hash."""
        ...

    def predict(self, messages: Sequence[Message]) -> Prediction:
        """The prediction for one conversation."""
        ...

    def begin_batch(self, conversations: Sequence[Sequence[Message]]) -> list[Any]:
        """For each the prediction where little time finds it, else what ``finish_batch`` needs."""
        ...

    def finish_batch(self, readings: Sequence[Any]) -> list[Prediction]:
        """The predictions for what ``begin_batch`` did not settle, in that order."""
        ...

    def predict_batch(self, conversations: Sequence[Sequence[Message]]) -> list[Prediction]:
        """Predictions in the order of ``conversations``."""
        ...

    def warm(self, *, fully: bool = True) -> None:
        """Loads now what the first prompt would wait for, or only what every prompt needs."""
        ...
