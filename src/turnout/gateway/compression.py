"""Compressed request bodies: gzip, deflate and zstd, as coding agents and logging tools send them.

Invariant: no more than ``max_bytes`` come out, whatever the compressed bytes claim, and a body that
ends before its compression does is damaged. This module does not know exchanges or JSON.
"""

import zlib
from functools import cache
from importlib import import_module
from typing import Any

SUPPORTED = "gzip, deflate, zstd"

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
# Of memory for what a zstd frame may refer back to: as much as a body may be long.
_WINDOW_LOG = 25


class UnknownCoding(Exception):
    """The Content-Encoding is none that is taken; the message says what to do."""


class Damaged(Exception):
    """The bytes are not what their Content-Encoding says."""


class TooMuch(Exception):
    """More comes out than a body may hold."""


def decompressed(data: bytes, coding: bytes, max_bytes: int) -> bytes:
    """What ``data`` decompresses to. Raises UnknownCoding, Damaged or TooMuch."""
    name = coding.strip().lower()
    if name in (b"", b"identity"):
        return data
    if name in (b"gzip", b"x-gzip", b"deflate"):
        decompressor: Any = zlib.decompressobj(_GZIP_OR_ZLIB)
        error_type: type[Exception] = zlib.error
    elif name == b"zstd":
        zstd = _zstd()
        decompressor = zstd.ZstdDecompressor(
            options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
        )
        error_type = zstd.ZstdError
    else:
        shown = name[:40].decode("latin-1")
        raise UnknownCoding(f"content-encoding is {shown!r}; use one of {SUPPORTED}, or none")
    try:
        plain_data: bytes = decompressor.decompress(data, max_bytes + 1)
    except error_type as error:
        raise Damaged(f"the body is not {name.decode()}: {error}") from error
    if len(plain_data) > max_bytes:
        raise TooMuch
    if not decompressor.eof:
        raise Damaged(f"the {name.decode()} body ends too early")
    return plain_data


@cache
def _zstd() -> Any:
    for name in ("compression.zstd", "backports.zstd"):  # Python's own from 3.14 on
        try:
            return import_module(name)
        except ImportError:
            continue
    raise UnknownCoding("zstd bodies need more packages: pip install 'turnout[serve]'")
