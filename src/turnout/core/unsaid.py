"""What a request says that a translation of it has no word for, so that its caller can be told.

Invariant: what a translation was not written for counts as lost, whether this module knows it or
not; what asks for nothing is no loss. This module does not know APIs.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# The mark that a prompt may be cached up to where it stands.
CACHE_MARK = "cache_control"
# What a field says where it asks for nothing that would not be so anyway.
_IDLE: Mapping[str, tuple[object, ...]] = {
    "temperature": (1,),
    "top_p": (1,),
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "parallel_tool_calls": (True,),
    "store": (False,),
    "service_tier": ("auto", "default", "standard"),
    "speed": ("standard",),
    "truncation": ("disabled",),
    "detail": ("auto",),
    "reasoning_effort": ("none",),
    "function_call": ("auto", "none"),
}
_NOTHING: frozenset[str] = frozenset()
_EMPTY: tuple[object, ...] = ("", [], {})

# The fields that are heard, each with those inside of it where they are not heard as a whole.
Heard = Mapping[str, frozenset[str] | None]


def asks(name: str, value: object) -> bool:
    """Whether the field ``name`` asks for anything with this value."""
    return value is not None and value not in _EMPTY and value not in _IDLE.get(name, ())


def unheard(said: Mapping[str, Any], heard: Heard, where: str = "") -> Iterator[str]:
    """The fields of ``said`` that ask for something and are not heard, with ``where`` before them.

    The mark of a cache has one name, wherever it stands.
    """
    for name, value in said.items():
        inner = heard.get(name, _NOTHING)
        if inner is None or not asks(name, value):
            continue
        if name == CACHE_MARK:
            yield name
        elif inner and isinstance(value, Mapping):
            if value.keys() <= inner:
                continue
            yield from unheard(value, dict.fromkeys(inner), f"{where}{name}.")
        else:
            yield f"{where}{name}"


def objects_in(value: object) -> Sequence[Mapping[str, Any]]:
    """The objects of a list; none where it is no list."""
    listed = value if isinstance(value, list | tuple) else ()
    return [one for one in listed if isinstance(one, Mapping)]
