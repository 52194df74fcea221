"""Rows made from rows: the words that open a task, alone and before texts of other prompts.

The request decides the label, not the text pasted behind it. Prompts that contain a text teach too
little of that: a letter looks like chat, a tale like creative writing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from turnout.classifiers.clauses import clauses, may_open_task
from turnout.classifiers.openings import TEXT_TASKS
from turnout.training.rows import MADE, Row

# Intents of prompts that may be pasted: none whose text would be code.
_PASTED_INTENTS = frozenset({"chat", "creative", "simple_qa", "reasoning"})
_TEXT = range(30, 401)
# Steps through the texts that have no divisor in common with most numbers of them.
_STRIDE, _SHIFT = 37, 101


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    row: Row
    opening: str
    text: str


def pasted_rows(rows: Sequence[Row]) -> list[Row]:
    """New rows: each opening alone, before another prompt, and before another task's text.

    The opening is a first clause that ends with a colon or its line; labels are the opening's, and
    texts are in its language if there are any.
    """
    own = [row for row in rows if row.may_be_reused]
    tasks = list(_tasks(own))
    prompts = _by_language((row, row.text) for row in own if row.intent in _PASTED_INTENTS)
    texts = _by_language((task.row, task.text.strip()) for task in tasks)
    openings = {task.opening: task.row for task in reversed(tasks)}
    found = []
    for turn, (words, row) in enumerate(reversed(openings.items())):
        found.append(row.with_text(words.strip(), kind=MADE))
        for known, shift in ((prompts, 0), (texts, _SHIFT)):
            candidates = known.get(row.language) or [
                text for each in known.values() for text in each
            ]
            if candidates:
                text = candidates[(turn * _STRIDE + shift) % len(candidates)]
                found.append(row.with_text(words + text, kind=MADE))
    return found


def _tasks(rows: Sequence[Row]) -> Iterator[_Task]:
    for row in rows:
        opening = clauses(row.text)[0]
        text = row.text[len(opening) :]
        if row.intent in TEXT_TASKS and text and may_open_task(opening):
            yield _Task(row=row, opening=opening, text=text)


def _by_language(pairs: Iterator[tuple[Row, str]]) -> dict[str, list[str]]:
    """The texts of middling length by language."""
    found: dict[str, list[str]] = {}
    for row, text in pairs:
        if len(text) in _TEXT:
            found.setdefault(row.language, []).append(text)
    return found
