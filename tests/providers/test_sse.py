"""Server-sent events out of bytes, however they are split."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.providers.sse import Event, EventParser, EventTooLarge


def parse(*pieces: bytes, max_bytes: int = 1000) -> list[Event]:
    """All events of the pieces."""
    parser = EventParser(max_bytes)
    return [event for piece in pieces for event in parser.feed(piece)]


@pytest.mark.parametrize(
    ("wire", "data"),
    [
        (b"data: a\n\n", ["a"]),
        (b"data:a\n\n", ["a"]),
        (b"data:  a\n\n", [" a"]),
        (b"data: a\r\n\r\n", ["a"]),
        (b"data: a\r\r", ["a"]),
        (b"data: a\r\n\n", ["a"]),
        (b"\xef\xbb\xbfdata: a\n\n", ["a"]),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", ["a"]),
        (b": ping\n\ndata: a\n\n", ["a"]),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b"data\ndata\n\n", ["\n"]),
        (b"data:\n\n", []),
        (b"data: a\n: ping\ndata: b\n\n", ["a\nb"]),
        (b"id: 1\nretry: 5\ndata: a\nother: x\n\n", ["a"]),
        (b"data: a\n\ndata: never closed\n", ["a"]),
        ("data: grüße 🚂\n\n".encode(), ["grüße 🚂"]),
        (b"data: \xff\n\n", ["\ufffd"]),
    ],
)
def test_events_follow_the_standard(wire: bytes, data: list[str]) -> None:
    """Line ends, blanks, comments, several data lines and a BOM, as the HTML standard says."""
    assert [event.data for event in parse(wire)] == data


def test_an_event_has_its_type_and_the_next_does_not() -> None:
    """The event field names one event only."""
    events = parse(b"event: error\ndata: a\n\ndata: b\n\n")
    assert [event.type for event in events] == ["error", "message"]


_LINES = st.lists(
    st.sampled_from(
        [b"data: x", b"data: \xc3\xa9\xf0\x9f\x9a\x82", b"data", b":c", b"event: e", b"", b"id: 1"]
    ),
    max_size=12,
)
_ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])


@given(lines=_LINES, data=st.data())
def test_any_split_of_the_bytes_gives_the_same_events(
    lines: list[bytes], data: st.DataObject
) -> None:
    """Mixed line ends and cuts inside characters, line ends and the BOM change nothing."""
    wire = b"\xef\xbb\xbf" + b"".join(line + data.draw(_ENDS) for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    bounds = [0, *cuts, len(wire)]
    pieces = [wire[start:end] for start, end in pairwise(bounds)]
    assert parse(*pieces) == parse(wire)


@given(data=st.binary(max_size=300))
def test_any_bytes_are_parsed_without_an_error(data: bytes) -> None:
    """Noise gives events or nothing, byte by byte as in one piece."""
    whole = parse(data)
    assert parse(*(data[i : i + 1] for i in range(len(data)))) == whole


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_an_event_beyond_the_cap_stops_the_parser(size: int) -> None:
    """Events before it are handed out, however the bytes arrive; then reading ends."""
    wire = b"data: ok\n\ndata: " + b"x" * 200 + b"\n\n"
    parser = EventParser(100)
    pieces = (wire[start : start + size] for start in range(0, len(wire), size))
    events = (event for piece in pieces for event in parser.feed(piece))
    assert next(events).data == "ok"
    with pytest.raises(EventTooLarge):
        next(events)


def test_many_data_lines_count_together() -> None:
    """Short lines cannot build an event beyond the cap."""
    with pytest.raises(EventTooLarge):
        parse(b"data: 12345678\n" * 20, max_bytes=100)


def test_an_unclosed_event_can_be_looked_at() -> None:
    """A peer that closes without the last blank line leaves its last event pending."""
    parser = EventParser()
    assert list(parser.feed(b"data: [DONE]")) == []
    assert parser.pending() == Event(data="[DONE]")
