"""Server-sent events as bytes."""

from typing import Any

import orjson

COMMENT = b": waiting for the answer\n\n"  # readers of events ignore it


def data(payload: Any) -> bytes:
    """An event without a name."""
    return b"data: %b\n\n" % orjson.dumps(payload)


def event(name: str, payload: Any) -> bytes:
    """A named event."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(payload))
