"""A conversation's beginnings as hashes, by which a later turn of it is known again.

Invariant: no text is kept, and no hash can be made outside of this process: the salt is random.
Two requests have a hash in common where one tenant sent the same tools, settings and messages up to
there. Marks of what shall be cached do not count: clients move them from turn to turn.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from msgspec import Struct

from turnout.core import Message, Request, strings
from turnout.core.request import INSTRUCTING
from turnout.features.extract import MARK

_MARKS = frozenset({"cache_control", "prompt_cache_breakpoint"})
_PLAIN = frozenset({"role", "content"})
_TOLD = _PLAIN | _MARKS
# What stands before the messages in a prompt, or makes another prompt of the same messages: a
# model at another effort has another cache.
_SETTINGS = (
    "tools", "functions", "tool_choice", "response_format", "output_config", "text",
    "reasoning_effort", "reasoning", "thinking", "prompt_cache_key",
)  # fmt: skip


class Prefix(Struct, frozen=True):
    """Hashes of where a prompt's messages end, the shortest beginning first.

    The first stands for tools, settings and the ``leading`` instructions, the last for all.
    ``apart`` says that these were marked to be cached by themselves.
    """

    ends: tuple[bytes, ...]
    leading: int
    apart: bool = False


def goes_on(request: Request) -> bool:
    """Whether a model has answered in this conversation before."""
    return any(message.get("role") == "assistant" for message in request.messages)


def prefix_of(request: Request, salt: bytes) -> Prefix | None:
    """The prompt's beginnings; None where it holds what is not JSON."""
    try:
        return _prefix(request, salt)
    except TypeError:
        return None


def _prefix(request: Request, salt: bytes) -> Prefix:
    messages, native = request.messages, request.native or {}
    known = hashlib.blake2b(digest_size=16, key=salt)
    asked = native or request.body
    settings = [(name, _bare(asked[name])) for name in _SETTINGS if name in asked]
    _feed(known, orjson.dumps([request.tenant, settings]))
    leading = next(
        (n for n, m in enumerate(messages) if m["role"] not in INSTRUCTING), len(messages)
    )
    for message in messages[:leading]:
        _add(known, message)
    ends = [known.copy().digest()]
    for message in messages[leading:]:
        _add(known, message)
        ends.append(known.copy().digest())
    first = [*messages[:leading], native.get("system"), native.get("tools")]
    return Prefix(tuple(ends), leading, MARK in strings(first))


def _add(known: hashlib.blake2b, message: Message) -> None:
    plain = message.keys() == _PLAIN
    more = {} if plain else {n: value for n, value in message.items() if n not in _TOLD}
    content = message.get("content") or ""
    parts = [content] if isinstance(content, str) else [_part(part) for part in content]
    _feed(known, orjson.dumps([message["role"], len(parts), more]))
    for part in parts:
        if isinstance(part, str):
            _feed(known, part.encode(), text=1)
        else:
            _feed(known, orjson.dumps(part))


def _part(part: Mapping[str, Any]) -> object:
    """A part of text is the same as a content that is the text alone."""
    bare = _bare(part)
    return bare["text"] if bare.keys() == {"type", "text"} else bare


def _bare(value: Any) -> Any:
    """The value without marks, which stand at parts, tools and blocks."""
    if isinstance(value, Mapping):
        return {name: inner for name, inner in value.items() if name not in _MARKS}
    return [_bare(item) for item in value] if isinstance(value, list) else value


def _feed(known: hashlib.blake2b, part: bytes, text: int = 0) -> None:
    # With its length and kind, so that no two conversations are the same bytes.
    known.update((len(part) << 1 | text).to_bytes(8, "big"))
    known.update(part)
