"""Each value of a request and of an answer, replaced by one of every other type."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
VALUES: tuple[Any, ...] = (None, True, -7, 1e300, "", "x", [], [7], {}, {"a": 7}, [{}], [[]])
WHOLE = ["chat", "messages", "responses"]
STREAMS = ["chat-stream", "messages-stream"]


def variants(value: Any) -> Iterator[Any]:
    """The value with one part of it, at any depth, replaced or left out."""
    yield from VALUES
    if isinstance(value, dict):
        for key, inner in value.items():
            yield {k: v for k, v in value.items() if k != key}
            yield from ({**value, key: other} for other in variants(inner))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from ([*value[:place], v, *value[place + 1 :]] for v in variants(inner))


@pytest.mark.parametrize("name", [*WHOLE, "codex", "claude-code"])
def test_requests(name: str) -> None:
    """Refused by name or forwarded, never an exception of another kind."""
    for body in variants(json.loads((CORPUS / "requests" / name).read_bytes())):
        TARGETS["requests"](json.dumps(body).encode())


@pytest.mark.parametrize("name", WHOLE[:2])
def test_answers(name: str) -> None:
    """A fault or an answer that every dialect can tell."""
    for body in variants(json.loads((CORPUS / "answers" / name).read_bytes())):
        TARGETS["answers"](json.dumps(body).encode())


@pytest.mark.parametrize("name", STREAMS)
def test_streams(name: str) -> None:
    """The same for each event of a stream."""
    blocks = (CORPUS / "answers" / name).read_bytes().split(b"\n\n")
    for place, block in enumerate(blocks):
        head, found, data = block.partition(b"data: ")
        if not found or not data.startswith(b"{"):
            continue
        for event in variants(json.loads(data)):
            odd = head + found + json.dumps(event).encode()
            TARGETS["answers"](b"\n\n".join([*blocks[:place], odd, *blocks[place + 1 :]]))
