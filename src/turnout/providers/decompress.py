"""Answer bodies decompressed in small steps.

Invariant: memory stays bounded by the step, whatever the compressed bytes claim.
This module does not know connections.
"""

import zlib
from collections.abc import Callable, Iterator

_STEP_BYTES = 64 * 1024
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS

Inflate = Callable[[bytes], Iterator[bytes]]


class UnknownEncoding(Exception):
    """The answer is compressed in a way that was not asked for."""


def inflater(encoding: str) -> Inflate | None:
    """A function from pieces of a body to pieces of at most 64 KiB of what it decompresses to.

    None where ``encoding``, a Content-Encoding, says that nothing is compressed. Raises
    UnknownEncoding; the function raises zlib.error.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return None
    if name in ("gzip", "x-gzip", "deflate"):
        return _Inflater().feed
    raise UnknownEncoding(name)


class _Inflater:
    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(_GZIP_OR_ZLIB)

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data:
            piece = self._zlib.decompress(data, _STEP_BYTES)
            if piece:
                yield piece
            data = self._zlib.unconsumed_tail
