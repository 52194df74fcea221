"""How many tokens files, sound and video may take, before their provider has counted them.

Invariant: no file counts as zero; a size that cannot be read from a file is unknown, never small.
docs/budgets.md says what a page and a second count as. This module does not know models.
"""

import base64
import binascii
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from turnout.core import Message
from turnout.core.data_urls import text_of_data_url

PAGE_TOKENS, MOST_PAGE_TOKENS = 1_500, 4_500
SECOND_TOKENS, MOST_SECOND_TOKENS = 10, 32

# Bytes per second of sound: the usual rate, and the lowest in use.
_SECOND_BYTES: Mapping[str, tuple[int, int]] = {
    "wav": (32_000, 8_000), "pcm16": (48_000, 16_000), "flac": (60_000, 8_000),
    "mp3": (16_000, 2_000), "m4a": (16_000, 2_000), "aac": (16_000, 2_000),
}  # fmt: skip
_OTHER_BYTES = 6_000, 750
_PIECE_SIZE = 2**18  # a multiple of four: base64 comes in fours
_MOST_INFLATED, _MOST_MATCHES, _LONGEST_HEAD = 2**24, 20_000, 1_000
_PDF = ("data:application/pdf", "JVBERi")
_NAME_CHARACTER = re.compile(rb"[^\s/<>\[\]()%]")


class TokenEstimate(NamedTuple):
    """Tokens of a part: how many are expected, and how many more there may be (None: unknown)."""

    expected: int
    extra: int | None


_NOTHING = TokenEstimate(0, 0)
_UNKNOWN = TokenEstimate(PAGE_TOKENS, None)


def estimate_all(parts: Sequence[Message]) -> TokenEstimate:
    """The estimate for all files, sound and video among these parts."""
    if not parts:
        return _NOTHING
    found = [estimate(part) for part in parts]
    extra = [one.extra for one in found]
    known = [tokens for tokens in extra if tokens is not None]
    return TokenEstimate(
        sum(one.expected for one in found), sum(known) if len(known) == len(extra) else None
    )


def estimate(part: Message) -> TokenEstimate:
    """The estimate for a file, sound or video; 0 for text files and others, whose text counts."""
    match part.get("type"):
        case "input_audio":
            return _sound_estimate(part.get("input_audio"))
        case "file" | "input_file":
            return _file_estimate(part)
        case "audio_url" | "video_url" | "input_video":
            return _UNKNOWN
    return _NOTHING


def text_of_file(part: Message) -> str | None:
    """The text of a text file; None for any other file."""
    data = _file_data(part)
    return text_of_data_url(data) if data else None


def _file_data(part: Message) -> str | None:
    held = part.get("file")
    found = (held if isinstance(held, Mapping) else part).get("file_data")
    return found if isinstance(found, str) else None


def _file_estimate(part: Message) -> TokenEstimate:
    data = _file_data(part)
    if data is None:
        return _UNKNOWN  # an id or an address
    if data.startswith(_PDF):
        pdf = _decode_base64(data.rpartition(",")[2])
        pages = pages_of(pdf) if pdf else None
        return _pages_estimate(pages) if pages else _UNKNOWN
    return _UNKNOWN if text_of_data_url(data) is None else _NOTHING


def _pages_estimate(pages: int) -> TokenEstimate:
    return TokenEstimate(pages * PAGE_TOKENS, pages * (MOST_PAGE_TOKENS - PAGE_TOKENS))


def pages_of(pdf: bytes) -> int | None:
    """The number of pages of a PDF; None if they cannot be counted, as when it is encrypted."""
    found = 0
    for data in (pdf, *_object_streams(pdf)):
        pages = None if data is None else _page_objects(data)
        if pages is None:
            return None
        found += pages
    return found or None


def _page_objects(data: bytes) -> int | None:
    """The number of page objects in these bytes; None if too much looks like one."""
    found = at = 0
    for _ in range(_MOST_MATCHES):
        at = data.find(b"/Page", at)
        if at < 0:
            return found
        named = data[max(0, at - 8) : at].rstrip().endswith(b"/Type")
        at += len(b"/Page")
        found += named and not _NAME_CHARACTER.match(data, at)
    return None


def _object_streams(pdf: bytes) -> Iterator[bytes | None]:
    """The contents of the object streams; None for one that cannot be read, which is the last."""
    room, at = _MOST_INFLATED, pdf.find(b"/ObjStm")
    while at >= 0:
        start = pdf.find(b"stream", at)
        head = pdf[pdf.rfind(b"obj", max(0, at - _LONGEST_HEAD), at) : start]
        unpacked = None
        if start >= 0 and b"/FlateDecode" in head and b"/DecodeParms" not in head:
            unpacked = _inflated(pdf, start + len(b"stream"), room)
        yield unpacked
        if unpacked is None:
            return
        room -= len(unpacked)
        at = pdf.find(b"/ObjStm", start)


def _inflated(pdf: bytes, start: int, room: int) -> bytes | None:
    """The decompressed stream that begins there, of ``room`` bytes at most."""
    start += 2 if pdf[start : start + 2] == b"\r\n" else 1
    inflater = zlib.decompressobj()
    pieces: list[bytes] = []
    try:
        while not inflater.eof and start < len(pdf) and room > 0:
            piece = inflater.decompress(pdf[start : start + _PIECE_SIZE], room)
            pieces.append(piece)
            room -= len(piece)
            start += _PIECE_SIZE
    except zlib.error:
        return None
    return b"".join(pieces) if inflater.eof else None


def _sound_estimate(sound: object) -> TokenEstimate:
    if not isinstance(sound, Mapping) or not isinstance(sound.get("data"), str):
        return _UNKNOWN
    form, data = str(sound.get("format")), sound["data"]
    usual, fewest = _SECOND_BYTES.get(form, _OTHER_BYTES)
    rate = _wav_rate(data) if form == "wav" else None
    usual, fewest = (rate, rate) if rate else (usual, fewest)
    size = len(data) * 3 // 4
    expected = _seconds(size, usual) * SECOND_TOKENS
    return TokenEstimate(expected, max(0, _seconds(size, fewest) * MOST_SECOND_TOKENS - expected))


def _seconds(size: int, rate: int) -> int:
    return -(-size // rate)


def _wav_rate(data: str) -> int | None:
    """The bytes per second in the header of a WAV file; None if there is no plausible number."""
    head = _decode_base64(data[:60]) or b""
    if head[:4] != b"RIFF" or head[12:16] != b"fmt ":
        return None
    rate = int.from_bytes(head[28:32], "little")
    return rate if 750 <= rate <= 10**7 else None


def _decode_base64(data: str) -> bytes | None:
    """The bytes of base64, decoded in pieces so that other threads can run; None for other text."""
    starts = range(0, len(data), _PIECE_SIZE)
    try:
        return b"".join([base64.b64decode(data[at : at + _PIECE_SIZE]) for at in starts])
    except (binascii.Error, ValueError):
        return None
