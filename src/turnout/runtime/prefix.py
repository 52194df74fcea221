"""Hashes of a conversation's beginnings, by which a later turn of it is recognised.

Invariant: no text is kept, and no hash can be made outside this process, since the salt is random.
Two requests share a hash if one tenant sent the same tools, settings and messages up to there.
Cache marks do not count, since clients move them from turn to turn.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import orjson
from msgspec import Struct

from turnout.core import Message, Request, strings
from turnout.core.request import INSTRUCTION_ROLES
from turnout.features.extract import EPHEMERAL

_MARKS = frozenset({"cache_control", "prompt_cache_breakpoint"})
_KNOWN_FIELDS = _MARKS | {"role", "content"}
# Fields that are part of the prompt before its messages, or make another prompt of the same ones: a
# model with another reasoning effort has another cache.
_SETTINGS = (
    "tools", "functions", "tool_choice", "response_format", "output_config", "text",
    "reasoning_effort", "reasoning", "thinking", "prompt_cache_key",
)  # fmt: skip


class Prefix(Struct, frozen=True):
    """The hashes of a prompt up to the end of each message, the shortest beginning first.

    The first covers tools, settings and ``leading`` messages with instructions, the last the whole
    prompt. ``marked`` says that the first was marked to be cached by itself.
    """

    ends: tuple[bytes, ...]
    leading: int
    marked: bool = False


def is_continued(request: Request) -> bool:
    """Whether a model has answered in this conversation before."""
    return any(message.get("role") == "assistant" for message in request.messages)


def prefix_of(request: Request, salt: bytes) -> Prefix | None:
    """The hashes of the prompt's beginnings; None if it holds something that is not JSON."""
    try:
        return _prefix(request, salt)
    except TypeError:
        return None


def _prefix(request: Request, salt: bytes) -> Prefix:
    messages, native = request.messages, request.native or {}
    hasher = hashlib.blake2b(digest_size=16, key=salt)
    body = native or request.body
    settings = [(name, _without_marks(body[name])) for name in _SETTINGS if name in body]
    _hash_bytes(hasher, orjson.dumps([request.tenant, settings]))
    leading = next(
        (n for n, m in enumerate(messages) if m["role"] not in INSTRUCTION_ROLES), len(messages)
    )
    for message in messages[:leading]:
        _hash_message(hasher, message)
    ends = [hasher.copy().digest()]
    for message in messages[leading:]:
        _hash_message(hasher, message)
        ends.append(hasher.copy().digest())
    first = [*messages[:leading], native.get("system"), native.get("tools")]
    return Prefix(tuple(ends), leading, EPHEMERAL in strings(first))


def _hash_message(hasher: hashlib.blake2b, message: Message) -> None:
    other_fields = {n: value for n, value in message.items() if n not in _KNOWN_FIELDS}
    content = message.get("content") or ""
    parts = [content] if isinstance(content, str) else [_hashed_part(part) for part in content]
    _hash_bytes(hasher, orjson.dumps([message["role"], len(parts), other_fields]))
    for part in parts:
        if isinstance(part, str):
            _hash_bytes(hasher, part.encode(), text=1)
        else:
            _hash_bytes(hasher, orjson.dumps(part))


def _hashed_part(part: Mapping[str, Any]) -> object:
    """A part of a content; a text part equals a content that is only this text."""
    bare = _without_marks(part)
    return bare["text"] if bare.keys() == {"type", "text"} else bare


def _without_marks(value: Any) -> Any:
    """The value without cache marks, which parts, tools and blocks may have."""
    if isinstance(value, Mapping):
        return {name: inner for name, inner in value.items() if name not in _MARKS}
    return [_without_marks(item) for item in value] if isinstance(value, list) else value


def _hash_bytes(hasher: hashlib.blake2b, part: bytes, text: int = 0) -> None:
    # With length and kind in front, different conversations are never the same bytes.
    hasher.update((len(part) << 1 | text).to_bytes(8, "big"))
    hasher.update(part)
