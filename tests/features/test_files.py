"""What files and sound may count as: never nothing, and the worst where it cannot be read."""

import base64
import struct
import zlib
from typing import Any

import pytest

from tests.worlds import deployment, price
from turnout.core import Bound, Request
from turnout.decision.eligible import bound
from turnout.features import extract
from turnout.features.files import MOST_PAGE_TOKENS, PAGE_TOKENS, estimate, pages_of

ROOT = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n"
PAGES = b"2 0 obj\n<</Type/Pages/Kids[3 0 R]/Count 2>>\nendobj\n"
MODEL = deployment("a", price(1, 0), context_window=100_000, max_output=1000)


def packed(inside: bytes, *, words: bytes = b"/Filter/FlateDecode") -> bytes:
    """A stream of objects, as most writers of today pack them."""
    head = b"9 0 obj\n<</Type/ObjStm/N 2/First 10%b>>\nstream\r\n" % words
    return head + zlib.compress(inside) + b"\r\nendstream\nendobj\n"


def part(pdf: bytes) -> dict[str, Any]:
    """A file as chat has it."""
    data = "data:application/pdf;base64," + base64.b64encode(pdf).decode()
    return {"type": "file", "file": {"filename": "a.pdf", "file_data": data}}


def held(*parts: dict[str, Any]) -> tuple[int, int]:
    """The prompt's tokens as they count, and as they are held without an answer's."""
    body = {"messages": [{"role": "user", "content": list(parts)}], "max_tokens": 1}
    request = Request(id="r", body=body)
    features = extract(request, ["o200k_base"])
    most: Bound = bound(request, features, MODEL)
    return features.input_tokens["o200k_base"], most.tokens - 1


@pytest.mark.parametrize(
    ("pdf", "pages"),
    [
        (ROOT + PAGES + b"<< /Type /Page /Parent 2 0 R >> <</Type/Page>>", 2),
        (ROOT + b"<</Type\n/Page/Contents 4 0 R>>", 1),
        (ROOT + packed(b"<</Type/Pages>><</Type/Page>><</Type /Page >><</Type/Page/A 1>>"), 3),
        (ROOT + packed(b"<</Type/Page>>") + packed(b"<</Type/Page>>") + b"<</Type/Page>>", 3),
        (ROOT + PAGES, None),
        (ROOT + packed(b"<</Type/Page>>", words=b"/Filter/LZWDecode"), None),
        (ROOT + b"<</Type/Page>>" + packed(b"<</Type/Page>>")[:60], None),
        (ROOT + b"<</Type/Page>>" + packed(bytes(2**25)), None),
        (b"/Page" * 100_000, None),
    ],
    ids=["plain", "line", "packed", "mixed", "none", "lzw", "cut", "bomb", "endless"],
)
def test_pages_are_counted_where_they_can_be_read(pdf: bytes, pages: int | None) -> None:
    """Packed objects are unpacked up to a limit; what stays hidden makes the number unknown."""
    assert pages_of(pdf) == pages


def test_a_page_counts_as_one_and_is_held_for_as_the_fullest() -> None:
    """So that a file that fits is not refused, and what it may cost is covered."""
    pdf = part(ROOT + b"<</Type/Page>>" * 7)
    counted, most = held(pdf)
    assert 7 * PAGE_TOKENS <= counted < 7 * PAGE_TOKENS + 20
    assert 7 * MOST_PAGE_TOKENS < most < 7 * MOST_PAGE_TOKENS * 1.2


@pytest.mark.parametrize(
    "unread",
    [
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "file", "file": {"file_data": "https://a.example/b.pdf"}},
        {"type": "file", "file": {"file_data": "data:application/zip;base64,UEsDBA=="}},
        {"type": "input_audio", "input_audio": {"id": "audio_1"}},
        part(b"%PDF-1.7 encrypted"),
        part(ROOT + b"<</Type/Page>>" * 200),
    ],
    ids=["id", "address", "zip", "heard", "closed", "long"],
)
def test_what_nobody_can_say_is_as_much_as_the_window_takes(unread: dict[str, Any]) -> None:
    """The provider takes no more; nor where more than that is counted."""
    counted, most = held(unread)
    assert counted >= PAGE_TOKENS
    assert most in (100_000, counted + counted // 8 + 63)


def test_a_file_of_text_counts_as_its_text() -> None:
    """Every one of its tokens, and no more."""
    text = "a word and another one " * 300
    data = "data:text/plain;base64," + base64.b64encode(text.encode()).decode()
    file = {"type": "file", "file": {"filename": "a.txt", "file_data": data}}
    assert held(file)[0] == pytest.approx(held({"type": "text", "text": text})[0], abs=1)
    assert held(file)[1] < 1.2 * held(file)[0]


def _wav(seconds: int) -> bytes:
    """Silence of 8,000 samples of 16 bits a second."""
    head = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", 0, b"WAVE", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16
    )
    return head + b"data" + bytes(4) + bytes(16_000 * seconds)


@pytest.mark.parametrize(
    ("form", "data", "expected", "most"),
    [
        ("wav", _wav(60), 610, 1952),
        ("mp3", bytes(960_000), 600, 15_360),
        ("opus", bytes(6_000), 10, 256),
    ],
)
def test_sound_counts_by_its_seconds(form: str, data: bytes, expected: int, most: int) -> None:
    """Those that its head says, else as many as its bytes may hold in that format."""
    sound = {"data": base64.b64encode(data).decode(), "format": form}
    found = estimate({"type": "input_audio", "input_audio": sound})
    assert (found.expected, found.expected + (found.extra or 0)) == (expected, most)
