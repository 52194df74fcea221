"""Fields of a request that are lost in translation to another API, so that its caller can be told.

Invariant: a field that a translation does not handle counts as lost, whether it is known here or
not, unless its value asks for nothing. This module does not know APIs.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Marks the end of a part of the prompt that the provider may cache.
CACHE_MARK = "cache_control"
# Values by which a field asks for nothing beyond the default.
_DEFAULTS: Mapping[str, tuple[object, ...]] = {
    "temperature": (1,),
    "top_p": (1,),
    "n": (1,),
    "logprobs": (False,),
    "modalities": (["text"],),
    "top_logprobs": (0,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "parallel_tool_calls": (True,),
    "store": (False,),
    "prefix": (False,),
    "service_tier": ("auto", "default", "standard"),
    "speed": ("standard",),
    "truncation": ("disabled",),
    "detail": ("auto",),
    "reasoning_effort": ("none",),
    "function_call": ("auto", "none"),
}
_NOTHING: frozenset[str] = frozenset()
_EMPTY: tuple[object, ...] = ("", [], {})

# The fields that a translation handles, each with its inner fields, or None for all of them.
HandledFields = Mapping[str, frozenset[str] | None]


def is_set(name: str, value: object) -> bool:
    """Whether this value of the field asks for anything beyond the default."""
    return value is not None and value not in _EMPTY and value not in _DEFAULTS.get(name, ())


def lost_fields(
    fields: Mapping[str, Any], handled: HandledFields, where: str = ""
) -> Iterator[str]:
    """The names of fields in ``fields`` that are lost, each with ``where`` before it.

    The cache mark goes by its own name, wherever it stands.
    """
    for name, value in fields.items():
        inner = handled.get(name, _NOTHING)
        if inner is None or not is_set(name, value):
            continue
        if name == CACHE_MARK:
            yield name
        elif inner and isinstance(value, str):
            continue  # its short form, such as a picture's address
        elif inner and isinstance(value, Mapping):
            if value.keys() <= inner:
                continue
            yield from lost_fields(value, dict.fromkeys(inner), f"{where}{name}.")
        else:
            yield f"{where}{name}"


def objects_in(value: object) -> Sequence[Mapping[str, Any]]:
    """The objects in a list; none if the value is not a list."""
    listed = value if isinstance(value, list | tuple) else ()
    return [one for one in listed if isinstance(one, Mapping)]
