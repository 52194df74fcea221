"""Encodes a prompt as one row of numbers: surface marks, meaning, and likeness of its options.

Invariant: the same prompt gives the same row; only its text and tools are read.
"""

from collections.abc import Sequence
from math import log1p

import numpy as np
import numpy.typing as npt

from turnout.core.arrays import Floats
from turnout.features import difficulty, likeness, tools, words
from turnout.features.prompt import PromptText

_TOOL_FITS = 4
_LIKENESS = len(likeness.NAMES)
# From how many characters a question counts as long, and up to how many its length counts. Prompts
# that people type stay below the first, so that rewording does not change the length.
_LONG = (400, 2000)
# Marks that change most when a prompt is reworded, and all that change.
_PHRASING = (
    "persons", "words", "sentences", "stem_length", "words_a_sentence", "ends_asking",
    "question_marks", "questions", "joins",
)  # fmt: skip
_WORDING = (
    *_PHRASING, "characters", "clauses", "letters_a_word", "tasks", "marks", "conditions", "logic",
    "long_words", "distinct_words",
)  # fmt: skip

SCHEMA = f"{difficulty.SCHEMA}+words/{words.DIMENSIONS}+likeness/{_LIKENESS}"
WIDTH = len(difficulty.NAMES) + _TOOL_FITS + words.DIMENSIONS + _LIKENESS


def encode(prompt: PromptText, *, compare_options: bool = True) -> Floats:
    """``[WIDTH]``: surface marks, closeness of the tools, meaning, likeness of the options.

    With tools the marks of phrasing are 0: they do not help with a new kind of call. Without
    ``compare_options`` the options are not compared, since no table needs it.
    """
    meaning = words.embed(prompt.text)
    marks = difficulty.difficulty(prompt)
    known = np.array([*marks, *_tool_fit(prompt, meaning)], np.float32)
    options = likeness.likeness(prompt.text) if compare_options else [0.0] * _LIKENESS
    row = np.concatenate([known, meaning, np.array(options, np.float32)])
    if prompt.functions:
        row[[_column(mark) for mark in _PHRASING]] = 0.0
    return row


def encode_all(prompts: Sequence[PromptText]) -> Floats:
    """``[n, WIDTH]``, one row for each prompt."""
    rows = [encode(prompt) for prompt in prompts]
    return np.array(rows, dtype=np.float32).reshape(len(rows), WIDTH)


def meaning_of(encoded: Floats) -> Floats:
    """The columns of the meaning."""
    return encoded[:, -words.DIMENSIONS - _LIKENESS : -_LIKENESS]


def marks_of(encoded: Floats) -> Floats:
    """The columns before the meaning: the surface marks, and any columns added before them."""
    return encoded[:, : -words.DIMENSIONS - _LIKENESS]


def without_likeness(encoded: Floats) -> Floats:
    """All columns except the likeness of the options, which only a pair's trees read."""
    return encoded[:, :-_LIKENESS]


def asks_for_calls(encoded: Floats) -> npt.NDArray[np.bool_]:
    """``[n]``: whether the prompt has tools."""
    return np.asarray(encoded[:, _column("functions")] > 0)


def length_of(encoded: Floats) -> Floats:
    """``[n]``: the length of the question from 0 (most questions) to 1, on a log scale."""
    short, long = np.log1p(_LONG)
    share = (encoded[:, _column("characters")] - short) / (long - short)
    return np.asarray(np.clip(share, 0.0, 1.0), dtype=np.float32)


def without_wording(encoded: Floats, centre: Floats) -> Floats:
    """The prompts with average marks of wording, from ``centre``; for the reading of strange ones.

    Prompts with tools stay as they are.
    """
    bare, plain = encoded.copy(), np.flatnonzero(~asks_for_calls(encoded))
    columns = np.array([_column(mark) for mark in _WORDING])
    bare[plain[:, None], columns] = centre[columns + words.DIMENSIONS + _LIKENESS]
    return bare


def _column(mark: str) -> int:
    """The column of a mark, counted from the end, since columns may have been added in front."""
    return difficulty.NAMES.index(mark) - WIDTH


def _tool_fit(prompt: PromptText, meaning: Floats) -> tuple[float, float, float, float]:
    """Cosines of the question with each tool's name and description.

    The highest, the mean, the second, and how many are close to the highest (on a log scale).
    """
    listed = tools.parse_tools(prompt.functions)[: tools.MOST_TOOLS]
    if not listed:
        return 0.0, 0.0, 0.0, 0.0
    texts = (f"{tool.get('name', '')} {tool.get('description', '')}" for tool in listed)
    near = sorted(float(meaning @ words.embed(text.replace("_", " "))) for text in texts)
    close = sum(cosine > 0.8 * near[-1] for cosine in near)
    return near[-1], sum(near) / len(near), near[-2] if len(near) > 1 else 0.0, log1p(close)
