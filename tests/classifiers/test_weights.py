"""The encoder's arrays: unpacked once, mapped by all, and never taken from a file that differs."""

import os
from pathlib import Path

import numpy as np
import pytest

from turnout.classifiers.weights import TABLE_SHA256, read_weights, weights_path
from turnout.core import ConfigError


@pytest.fixture(scope="module")
def unpacked() -> dict[str, np.ndarray]:
    """The arrays where nothing can be kept."""
    return read_weights(weights_path(), None)


def test_a_kept_table_is_the_unpacked_one(tmp_path: Path, unpacked: dict[str, np.ndarray]) -> None:
    """The first reader keeps the table, the second maps what is there: the same numbers."""
    first = read_weights(weights_path(), tmp_path / "turnout")["table"]
    (kept,) = (tmp_path / "turnout").iterdir()
    written = kept.stat().st_mtime_ns
    second = read_weights(weights_path(), tmp_path / "turnout")["table"]
    assert kept.stat().st_mtime_ns == written
    assert isinstance(second.base, np.memmap)
    assert not second.flags.writeable
    assert np.array_equal(first, unpacked["table"])
    assert np.array_equal(second, unpacked["table"])


def test_a_damaged_table_is_made_anew(tmp_path: Path, unpacked: dict[str, np.ndarray]) -> None:
    """A kept file of another content is not read: one byte is enough."""
    read_weights(weights_path(), tmp_path)
    (kept,) = tmp_path.iterdir()
    with kept.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))
    assert np.array_equal(read_weights(weights_path(), tmp_path)["table"], unpacked["table"])
    assert TABLE_SHA256[:16] in kept.name


def test_without_a_place_it_is_unpacked(tmp_path: Path, unpacked: dict[str, np.ndarray]) -> None:
    """A cache folder that cannot be made costs the sharing, not the answer."""
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    table = read_weights(weights_path(), tmp_path / "file" / "turnout")["table"]
    assert np.array_equal(table, unpacked["table"])


def test_other_weights_are_refused(tmp_path: Path) -> None:
    """Weights that are not the known ones are named with their hash and the install line."""
    path = tmp_path / "weights.npz"
    path.write_bytes(b"not the weights")
    with pytest.raises(ConfigError, match=r"sha256 \w+ is not \w+: pip install"):
        read_weights(path, None)
