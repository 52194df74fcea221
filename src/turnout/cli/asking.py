"""Asks a model for labels, several at a time but in order; and what that is expected to cost."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from turnout.classifiers.llm import build
from turnout.cli.jsonl import Line
from turnout.core import Decision, Outcome, Prediction
from turnout.features import count_tokens
from turnout.runtime import Router
from turnout.runtime.classifier_setup import labels_of

AT_A_TIME = 16
LABEL_TOKENS = 4

Verdict = tuple[str, Prediction]
Decided = tuple[Decision, tuple[Outcome, ...]]


@contextmanager
def asking(r: Router) -> Iterator[Callable[[Sequence[Line]], Iterator[Decided]]]:
    """A function that decides lines, each with the calls made for it. It raises RequestError."""
    with ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="turnout-ask") as pool:

        def ask(lines: Sequence[Line]) -> Iterator[Decided]:
            return pool.map(lambda line: r.route_with_calls(line.messages), lines)

        yield ask


@contextmanager
def asked_verdicts(r: Router) -> Iterator[Callable[[Sequence[Line]], list[Verdict]]]:
    """A function that gives lines their verdicts."""
    with asking(r) as ask:
        yield lambda lines: [(d.intent, d.prediction) for d, _ in ask(lines)]


def label_cost(
    r: Router, conversations: Sequence[Sequence[dict[str, Any]]]
) -> tuple[str, int | None]:
    """The model for labels, else the default one, and what asking it about all would cost.

    The cost is in pico-dollars, None where the price is unknown.
    """
    config = r.parts.config
    asked = r.parts.means.rules.catalog.deployments[config.classifier.model or config.default]
    if asked.price is None:
        return asked.model, None
    price, name, labels = asked.price, asked.card.tokenizer, labels_of(config)
    return asked.model, sum(
        price.expected_cost(
            count_tokens([m["content"] for m in build(messages, labels)], name), LABEL_TOKENS
        )
        for messages in conversations
    )
