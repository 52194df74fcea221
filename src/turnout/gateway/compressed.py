"""Compressed request bodies: gzip, deflate and zstd, as coding agents and logging tools send them.

Invariant: no more than ``most`` bytes come out, whatever the compressed ones claim, and a body that
ends before its compression does is damaged. This module does not know exchanges or JSON.
"""

import zlib
from functools import cache
from importlib import import_module
from typing import Any

TAKEN = "gzip, deflate, zstd"

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
# Of memory for what a zstd frame may refer back to: as much as a body may be long.
_WINDOW_LOG = 25


class UnknownCoding(Exception):
    """The Content-Encoding is none that is taken; the message says what to do."""


class Damaged(Exception):
    """The bytes are not what their Content-Encoding says."""


class TooMuch(Exception):
    """More comes out than a body may hold."""


def plain(data: bytes, coding: bytes, most: int) -> bytes:
    """What ``data`` decompresses to. Raises UnknownCoding, Damaged or TooMuch."""
    name = coding.strip().lower()
    if name in (b"", b"identity"):
        return data
    if name in (b"gzip", b"x-gzip", b"deflate"):
        reader: Any = zlib.decompressobj(_GZIP_OR_ZLIB)
        broken: type[Exception] = zlib.error
    elif name == b"zstd":
        zstd = _zstd()
        reader = zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
        )
        broken = zstd.ZstdError
    else:
        shown = name[:40].decode("latin-1")
        raise UnknownCoding(f"content-encoding is {shown!r}; use one of {TAKEN}, or none")
    try:
        found: bytes = reader.decompress(data, most + 1)
    except broken as error:
        raise Damaged(f"the body is not {name.decode()}: {error}") from error
    if len(found) > most:
        raise TooMuch
    if not reader.eof:
        raise Damaged(f"the {name.decode()} body ends too early")
    return found


@cache
def _zstd() -> Any:
    for name in ("compression.zstd", "backports.zstd"):  # Python's own from 3.14 on
        try:
            return import_module(name)
        except ImportError:
            continue
    raise UnknownCoding("zstd bodies need more packages: pip install 'turnout[serve]'")
