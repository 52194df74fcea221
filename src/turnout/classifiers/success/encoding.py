"""A prompt as one row of numbers: what it looks like and where it lies in meaning.

Invariant: the same prompt gives the same row; nothing but its text and tools is read.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from turnout.features import difficulty, words
from turnout.features.prompt import PromptText

Floats = npt.NDArray[np.float32]

SCHEMA = f"{difficulty.SCHEMA}+words/{words.DIMENSIONS}"
WIDTH = len(difficulty.NAMES) + 2 + words.DIMENSIONS


def encode(prompt: PromptText) -> Floats:
    """``[WIDTH]``: surface marks, how near the tools are to the question, and its meaning."""
    meaning = words.embed(prompt.text)
    marks = difficulty.difficulty(prompt)
    return np.concatenate([np.array([*marks, *_fit(prompt, meaning)], np.float32), meaning])


def encode_all(prompts: Sequence[PromptText]) -> Floats:
    """``[n, WIDTH]``, a row a prompt."""
    rows = [encode(prompt) for prompt in prompts]
    return np.array(rows, dtype=np.float32).reshape(len(rows), WIDTH)


def meaning_of(encoded: Floats) -> Floats:
    """The columns that hold the meaning: the last ones."""
    return encoded[:, -words.DIMENSIONS :]


def marks_of(encoded: Floats) -> Floats:
    """The columns before the meaning: the surface marks, and what was put in front of them."""
    return encoded[:, : -words.DIMENSIONS]


def _fit(prompt: PromptText, meaning: Floats) -> tuple[float, float]:
    """The nearest and the mean cosine between the question and a tool's name and description."""
    if not prompt.functions:
        return 0.0, 0.0
    near = [
        float(meaning @ words.embed(f"{tool.get('name', '')} {tool.get('description', '')}"))
        for tool in difficulty.parse_tools(prompt.functions)[:16]
    ]
    return (max(near), sum(near) / len(near)) if near else (0.0, 0.0)
