"""Reads the sentence pieces and their scores from the encoder package's model file.

The file is a protocol buffer: field 1, repeated, is a piece with its text (1) and score (2).
"""

import struct
from collections.abc import Iterator
from functools import cache

from turnout.classifiers.weights import weights_path

_VARINT, _LENGTH, _FIXED32 = 0, 2, 5


@cache
def read() -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Pieces and log-probabilities, by piece id."""
    data = weights_path().with_name("sp.model").read_bytes()
    pieces: list[str] = []
    scores: list[float] = []
    for field, value in _fields(data):
        if field == 1:
            entry = dict(_fields(value))
            pieces.append(entry[1].decode())
            scores.append(struct.unpack("<f", entry[2])[0] if 2 in entry else 0.0)
    return tuple(pieces), tuple(scores)


def _fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == _LENGTH:
            size, position = _varint(data, position)
        elif kind == _FIXED32:
            size = 4
        elif kind == _VARINT:
            start = position
            _, position = _varint(data, position)
            yield tag >> 3, data[start:position]
            continue
        else:
            raise ValueError(f"unknown wire type {kind} at byte {position}")
        yield tag >> 3, data[position : position + size]
        position += size


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
