"""What is read here uses one thread of BLAS, and the process has its threads back afterwards."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from threadpoolctl import ThreadpoolController

from turnout.classifiers import LocalClassifier
from turnout.classifiers.glance import Glance
from turnout.classifiers.one_thread import on_one_thread
from turnout.classifiers.recall import Recall
from turnout.classifiers.success import predictor
from turnout.classifiers.success.predictor import SuccessPredictor

# What follows up on a turn needs both stages.
_CONVERSATION = [
    {"role": "user", "content": "Write a Python function that reads a list of dates"},
    {"role": "assistant", "content": "def dates(path): ..."},
    {"role": "user", "content": "and now the other way round"},
]


def _threads() -> int:
    (blas,) = ThreadpoolController().select(user_api="blas").info()
    return int(blas["num_threads"])


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    """As in a process that leaves BLAS alone."""
    with ThreadpoolController().limit(limits=2, user_api="blas"):
        assert _threads() == 2
        yield


def test_one_thread_while_it_runs() -> None:
    """Nested, and if it fails."""
    inner = on_one_thread(_threads)
    outer = on_one_thread(lambda: (_threads(), inner(), _threads()))
    assert outer() == (1, 1, 1)
    assert _threads() == 2

    @on_one_thread
    def fails() -> None:
        assert _threads() == 1
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        fails()
    assert _threads() == 2


def test_the_last_of_several_at_a_time_gives_the_threads_back() -> None:
    """Not the first one that ends."""
    begun, may_end = threading.Barrier(2), threading.Event()

    @on_one_thread
    def waits() -> None:
        begun.wait(10)
        may_end.wait(10)

    beside = threading.Thread(target=waits)
    beside.start()
    on_one_thread(lambda: begun.wait(10))()
    assert _threads() == 1
    may_end.set()
    beside.join(10)
    assert _threads() == 2


def test_both_stages_of_the_classifier(monkeypatch: pytest.MonkeyPatch) -> None:
    """The event loop's part of a prompt, and the threads' part."""
    seen: list[int] = []
    predictions, vectors_of = Glance.predictions, Recall.vectors_of

    def glance(self: Glance, *given: Any) -> Any:
        seen.append(_threads())
        return predictions(self, *given)

    def vectors(self: Recall, *given: Any) -> Any:
        seen.append(_threads())
        return vectors_of(self, *given)

    monkeypatch.setattr(Glance, "predictions", glance)
    monkeypatch.setattr(Recall, "vectors_of", vectors)
    classifier = LocalClassifier.load()
    begun = classifier.begin_batch([_CONVERSATION])
    assert seen == [1]
    classifier.finish_batch(begun)
    assert seen == [1, 1]
    assert _threads() == 2


def test_the_predictor(monkeypatch: pytest.MonkeyPatch) -> None:
    """For one prompt and for many."""

    class Seen(Exception):
        pass

    def stop(*_: object) -> None:
        raise Seen(_threads())

    monkeypatch.setattr(predictor, "with_shared_column", stop)
    empty = SuccessPredictor.__new__(SuccessPredictor)
    object.__setattr__(empty, "shared", None)
    with pytest.raises(Seen, match=r"^1$"):
        SuccessPredictor._predict_encoded(empty, None)  # type: ignore[arg-type]
    assert _threads() == 2
