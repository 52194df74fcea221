"""The cap on an answer's length, lowered wherever a request holds it.

This module does not know models.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from turnout.core import Request
from turnout.providers.anthropic_thinking import budget_within

_FIELDS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


def with_cap(request: Request, cap: int) -> Request:
    """The request with a lower cap, in tokens, both in ``body`` and in ``native``."""
    native = None if request.native is None else _with_cap(request.native, cap)
    return structs.replace(request, body=_with_cap(request.body, cap), native=native)


def _with_cap(body: Mapping[str, Any], cap: int) -> dict[str, Any]:
    given = [name for name in _FIELDS if body.get(name) is not None]
    lowered: dict[str, Any] = {name: min(body[name], cap) for name in given}
    thinking = body.get("thinking")
    if isinstance(thinking, Mapping) and isinstance(thinking.get("budget_tokens"), int):
        budget = budget_within(thinking["budget_tokens"], cap)
        lowered["thinking"] = {**thinking, "budget_tokens": budget}
    return {**body, **lowered}
