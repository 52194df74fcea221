"""Everything that a model wrote in a chunk, part by part: what a scanner must read.

Invariant: every string of every choice is in a part, whatever field it came in, except for words
that the protocol fixes (roles, types, ids), the bytes of sound, pictures and encrypted reasoning,
and log-probabilities, which repeat the text.
This module does not know how texts are scored.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from turnout.core import Chunk, Delta, readable

_FIXED = frozenset({"role", "type", "id", "index", "tool_use_id", "signature", "data"})
# Names of fields with the bytes of sound, pictures and encrypted reasoning, without white space.
_BYTES = frozenset({"data", "b64_json"})
_BLANK = re.compile(r"\s")
_CHOICE_READ = _FIXED | {"content", "reasoning_content", "reasoning", "tool_calls"}
_BLOCK_READ = _FIXED | {"text", "thinking", "partial_json", "name", "input"}
_ENDING = _FIXED | {"stop_reason", "stop_sequence"}
_EVENT_READ = frozenset({"type", "response", "item", "item_id", "obfuscation", "logprobs"})
_PART_READ = frozenset({"type", "text", "refusal", "logprobs"})
_ITEM_FIXED = frozenset({"type", "id", "status", "role", "call_id", "encrypted_content"})
_PICTURE = _ITEM_FIXED | {"result"}
_ITEM_READ = {
    "message": _ITEM_FIXED | {"content"},
    "reasoning": _ITEM_FIXED | {"summary"},
    "function_call": _ITEM_FIXED | {"name", "arguments"},
    "custom_tool_call": _ITEM_FIXED | {"name", "input"},
    "image_generation_call": _PICTURE,
}
_READ_BLOCKS = frozenset({"text", "thinking", "tool_use"})


def answer_texts(chunk: Chunk) -> list[tuple[str, str]]:
    """The parts of the answer that a chunk adds to, each with the text it adds."""
    found = [piece for delta in chunk.deltas for piece in _delta_texts(delta)]
    raw = chunk.raw
    in_deltas = any(delta.has_content and not delta.hosted for delta in chunk.deltas)
    if "choices" in raw:
        found += _choice_texts(raw["choices"] or ())
    elif raw.get("object") == "response":
        found.append(("0.other", "\n".join(_output_texts(raw))))
    elif str(raw.get("type", "")).startswith("response."):
        found.append(("0.other", "\n".join(_event_texts(raw, in_deltas=in_deltas))))
    elif raw.get("type") == "message":
        found += [("0.other", _block_text(block)) for block in raw.get("content") or ()]
    elif raw:
        known = _BLOCK_READ if in_deltas else _ENDING
        found += [("0.other", _other_text(raw.get(k), known)) for k in ("content_block", "delta")]
    return [(part, text) for part, text in found if text]


def _delta_texts(delta: Delta) -> Iterable[tuple[str, str]]:
    yield f"{delta.choice}.text", delta.text
    yield f"{delta.choice}.reasoning", delta.reasoning
    for call in delta.tool_calls:
        yield f"{delta.choice}.tool{call.index}", (call.name or "") + call.arguments


def _output_texts(response: Mapping[str, Any]) -> Iterable[str]:
    """The texts in a response's output that its deltas do not hold."""
    for item in response.get("output") or ():
        parts = item.get("content") if item.get("type") == "message" else None
        read = _ITEM_READ.get(str(item.get("type")), _ITEM_FIXED)
        yield from readable({name: value for name, value in item.items() if name not in read})
        for part in parts or ():
            yield from readable({k: v for k, v in part.items() if k not in _PART_READ})


def _event_texts(event: Mapping[str, Any], *, in_deltas: bool) -> Iterable[str]:
    """All texts of an event, except a piece that a delta holds; of a response only its output.

    The end of an item or a response repeats what came in pieces. It is read all the same, since
    nothing proves that it is the same.
    """
    if in_deltas and str(event["type"]).endswith(".delta"):
        return
    response = event.get("response")
    output = response.get("output") if isinstance(response, Mapping) else None
    piece = event.get("delta")
    if isinstance(piece, str):
        yield piece  # white space as well
    yield from readable({k: v for k, v in event.items() if k not in _EVENT_READ and v is not piece})
    for item in (event.get("item"), *(output or ())):
        if isinstance(item, Mapping):
            yield from readable({k: v for k, v in item.items() if k not in _fixed_fields(item)})


def _fixed_fields(item: Mapping[str, Any]) -> frozenset[str]:
    """The names of an item's fields that are not text."""
    return _PICTURE if item.get("type") == "image_generation_call" else _ITEM_FIXED


def _choice_texts(choices: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, str]]:
    """Texts in fields that a Delta does not have: refusals, transcripts, old function calls."""
    for place, choice in enumerate(choices):
        for kind in ("message", "delta"):
            yield f"{choice.get('index', place)}.other", _other_text(choice.get(kind), _CHOICE_READ)


def _block_text(block: Mapping[str, Any]) -> str:
    read = block.get("type") in _READ_BLOCKS
    return _other_text(block, _BLOCK_READ if read else _FIXED)


def _other_text(fields: object, known: frozenset[str]) -> str:
    if not isinstance(fields, Mapping) or fields.keys() <= known:
        return ""
    return "\n".join(_texts({n: value for n, value in fields.items() if n not in known}))


def _texts(value: object) -> list[str]:
    """Every string in a JSON value except bytes; white space as well, which separates words."""
    found: list[str] = []
    pending = [("", value)]
    while pending:
        name, item = pending.pop()
        if isinstance(item, str):
            if not (name in _BYTES or item.startswith("data:")) or _BLANK.search(item):
                found.append(item)
        elif isinstance(item, Mapping):
            pending.extend(reversed(list(item.items())))
        elif isinstance(item, list | tuple):
            pending.extend([(name, inner) for inner in reversed(item)])
    return found
