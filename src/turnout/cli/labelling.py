"""Asks a model for labels, several at a time but in order; and what that is expected to cost."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from turnout.classifiers.llm import label_messages
from turnout.cli.jsonl import Line
from turnout.core import Decision, Outcome, Prediction
from turnout.features import count_tokens
from turnout.runtime import Router
from turnout.runtime.classifier_setup import labels_of

CONCURRENCY = 16
LABEL_TOKENS = 4

Verdict = tuple[str, Prediction]
DecidedLine = tuple[Decision, tuple[Outcome, ...]]


@contextmanager
def line_decider(r: Router) -> Iterator[Callable[[Sequence[Line]], Iterator[DecidedLine]]]:
    """A function that decides lines, each with the calls made for it. It raises RequestError."""
    with ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="turnout-ask") as pool:

        def ask(lines: Sequence[Line]) -> Iterator[DecidedLine]:
            return pool.map(lambda line: r.route_with_calls(line.messages), lines)

        yield ask


@contextmanager
def verdict_reader(r: Router) -> Iterator[Callable[[Sequence[Line]], list[Verdict]]]:
    """A function that gives lines their verdicts."""
    with line_decider(r) as ask:
        yield lambda lines: [(d.intent, d.prediction) for d, _ in ask(lines)]


def label_cost(
    r: Router, conversations: Sequence[Sequence[dict[str, Any]]]
) -> tuple[str, int | None]:
    """The model for labels, else the default one, and what asking it about all would cost.

    The cost is in pico-dollars, None where the price is unknown.
    """
    config = r.parts.config
    deployment = r.parts.means.rules.catalog.deployments[config.classifier.model or config.default]
    if deployment.price is None:
        return deployment.model, None
    price, name, labels = deployment.price, deployment.card.tokenizer, labels_of(config)
    return deployment.model, sum(
        price.expected_cost(
            count_tokens([m["content"] for m in label_messages(messages, labels)], name),
            LABEL_TOKENS,
        )
        for messages in conversations
    )
