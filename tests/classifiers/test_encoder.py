"""The encoder's network, by its definition: one sentence, one piece, one window at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from turnout.classifiers.encoder import SentenceEncoder, shared_encoder
from turnout.classifiers.pieces import BEGIN, END
from turnout.classifiers.weights import cache_folder, read_weights, weights_path
from turnout.core.arrays import Floats

Weights = dict[str, Any]
WIDTHS = ((2, 0), (3, 1), (5, 2))


@pytest.fixture(scope="module")
def weights() -> Weights:
    """As the package has them."""
    return read_weights(weights_path(), cache_folder())


def _normalised(row: Floats, gain: Floats, shift: Floats, epsilon: float) -> Floats:
    return (row - row.mean()) / np.sqrt(row.var() + epsilon) * gain + shift


def _convolution(rows: Floats, left: int, weight: Floats, bias: Floats) -> Floats:
    order = len(weight) // rows.shape[1]
    around = np.pad(rows, ((left, order - 1 - left), (0, 0)))
    windows = [around[i : i + order].ravel() for i in range(len(rows))]
    return np.array([np.maximum(window @ weight + bias, 0) for window in windows]) + rows


def _reference_embedding(w: Weights, ids: Sequence[int]) -> Floats:
    epsilon = float(w["eps"])
    pieces = np.array([BEGIN, *ids, END])
    chunk = pieces % len(w["scale"])
    embedded = w["table"][pieces] * w["scale"][chunk, None] + w["lo"][chunk, None]
    projected = np.concatenate([embedded @ w[f"proj{n}"] + w[f"proj_b{n}"] for n, _ in WIDTHS], 1)
    gain = np.concatenate([w[f"ln_g{n}"] for n, _ in WIDTHS])
    shift = np.concatenate([w[f"ln_b{n}"] for n, _ in WIDTHS])
    parts = np.split(
        np.array([_normalised(row, gain, shift, epsilon) for row in projected]), 3, axis=1
    )
    columns = [embedded]
    for (n, left), part in zip(WIDTHS, parts, strict=True):
        once = _convolution(part, left, w[f"w1_{n}"], w[f"b1_{n}"])
        columns.append(_convolution(once, left, w[f"w2_{n}"], w[f"b2_{n}"]))
    joined = np.concatenate(columns, axis=1)
    summed = sum(_normalised(row, w["ln_g"], w["ln_b"], epsilon) for row in joined)
    x = (summed @ w["cnn_W"] + len(pieces) * w["cnn_b"]) / np.sqrt(len(pieces))
    hidden = np.maximum(x @ w["p1"] + np.maximum(x @ w["d0"], 0) @ w["d1"], 0)
    out = np.tanh(hidden @ w["p3"] + np.maximum(hidden @ w["d2"], 0) @ w["d3"])
    return out / np.linalg.norm(out)


@pytest.mark.parametrize(
    "sentences",
    [
        pytest.param([[]], id="an empty one"),
        pytest.param([[411]], id="one piece"),
        pytest.param([[8, 9, 8, 9, 8, 8, 8]], id="pieces again and again"),
        pytest.param([[5], [70, 71, 72, 5, 70], [], [5, 5]], id="neighbours that share pieces"),
        pytest.param([list(range(900, 1300))] * 4, id="more than one batch"),
    ],
)
def test_each_sentence_is_embedded_as_if_alone(
    weights: Weights, sentences: list[list[int]]
) -> None:
    """Whatever stands beside it in the batch."""
    found = SentenceEncoder(weights).encode(sentences)
    told = np.array([_reference_embedding(weights, ids) for ids in sentences])
    np.testing.assert_allclose(found, told, atol=2e-6)


def test_no_sentence_has_no_row() -> None:
    """A table without rows, as wide as any."""
    assert shared_encoder().encode([]).shape == (0, 512)
