"""Shortens function names to 64 characters, the most that OpenAI and most other providers take.

Invariant: the short name depends on the full name alone, so that calls in earlier answers still
match their tools. This module does not know bodies.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

_LONGEST = 64
_DIGEST = 8


def short(name: str) -> str:
    """``name`` itself, or if it is too long its beginning and a piece of its SHA-256."""
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "replace")).hexdigest()[:_DIGEST]
    return f"{name[: _LONGEST - _DIGEST - 1]}_{digest}"


def shortened(item: Mapping[str, Any]) -> Any:
    """The ``name`` of a tool, a call or a choice, shortened if it is a text."""
    name = item.get("name")
    return short(name) if isinstance(name, str) else name


def full_names(payload: Mapping[str, Any] | None) -> dict[str, str]:
    """The full names of a request's tools, by their short names, where these differ."""
    tools = (payload or {}).get("tools") or ()
    names = (str(tool.get("name")) for tool in tools)
    return {short(name): name for name in names if len(name) > _LONGEST}
