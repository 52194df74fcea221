"""Names of functions that every provider takes: OpenAI and most others take 64 characters.

Invariant: the mapping is a function of the name alone, so that a call of an earlier answer keeps
its tool. This module does not know bodies.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

_LONGEST = 64
_DIGEST = 8


def short(name: str) -> str:
    """``name``, or where it is too long its beginning and a piece of its SHA-256."""
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:_DIGEST]
    return f"{name[: _LONGEST - _DIGEST - 1]}_{digest}"


def shortened(item: Mapping[str, Any]) -> Any:
    """The ``name`` of a tool, a call or a choice, shortened where it is one."""
    name = item.get("name")
    return short(name) if isinstance(name, str) else name


def full_names(payload: Mapping[str, Any] | None) -> dict[str, str]:
    """The names of a request's tools that are shortened, by what they are shortened to."""
    tools = (payload or {}).get("tools") or ()
    names = (str(tool.get("name")) for tool in tools)
    return {short(name): name for name in names if len(name) > _LONGEST}
