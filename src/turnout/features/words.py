"""A text's embedding: the weighted mean of its words' vectors, 64 numbers.

The table was distilled from all-MiniLM-L6-v2 (Wang et al., arXiv 2002.10957; Apache-2.0): each word
alone through the model, projected on the main axes of sentence embeddings, then corrected by least
squares towards the embeddings of public prompts. Reading it costs a dictionary look-up a word; the
model itself takes milliseconds. Static tables of this kind: Tulkens and van Dongen, Model2Vec.

Invariant: pure, total; a text without a known word is the zero vector.
"""

import re
from collections import Counter
from functools import cache
from importlib.resources import as_file, files
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]

DIMENSIONS = 64
_CHARACTERS_READ = 2500
_TOKEN = re.compile(r"[a-z0-9]+|[^\sa-z0-9]")


class _Table(NamedTuple):
    place: dict[str, int]
    vectors: npt.NDArray[np.int8]
    scales: Vector


@cache
def _table() -> _Table:
    with as_file(files("turnout.features") / "words.npz") as path, np.load(path) as stored:
        words = bytes(stored["words"]).decode("utf-8").split("\n")
        place = {word: number for number, word in enumerate(words)}
        return _Table(place, stored["vectors"], stored["scales"].astype(np.float32))


def embed(text: str) -> Vector:
    """The text's embedding, of length 1 (0 where no word is known)."""
    table = _table()
    tokens = _TOKEN.findall(text[:_CHARACTERS_READ].lower())
    counts = Counter(place for token in tokens if (place := table.place.get(token)) is not None)
    if not counts:
        return np.zeros(DIMENSIONS, dtype=np.float32)
    rows = np.fromiter(counts.keys(), dtype=np.intp, count=len(counts))
    weights = 1 + np.log(np.fromiter(counts.values(), dtype=np.float32, count=len(counts)))
    summed = (weights * table.scales[rows]) @ table.vectors[rows].astype(np.float32)
    return (summed / (np.linalg.norm(summed) + 1e-6)).astype(np.float32)
