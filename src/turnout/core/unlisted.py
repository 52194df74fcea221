"""Fields by which a caller asks for what costs more than any price list says.

Invariant: a value that is not known here counts as one that costs more. A field is named only for
the families whose providers are sent it.
Sources: platform.openai.com/docs/pricing (priority processing, searches in chat);
platform.claude.com/docs/en/about-claude/pricing (fast mode, data residency);
openrouter.ai/docs/features/web-search (plugins); docs.x.ai/docs/guides/live-search.
This module does not know prices.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from turnout.core.request import Family, Request

_OPENAI: tuple[Family, ...] = ("openai", "openai-responses")
_CHAT: tuple[Family, ...] = ("openai",)
_ANTHROPIC: tuple[Family, ...] = ("anthropic",)
# Of each field the values at the usual price, or at a lower one.
_USUAL: Mapping[str, frozenset[object]] = {
    "service_tier": frozenset(
        {"auto", "default", "standard", "standard_only", "on_demand", "flex", "batch"}
    ),
    "speed": frozenset({"standard"}),
    "inference_geo": frozenset({"global"}),
}
# Of chat completions, the fields that add searches and other work by the piece, with the values
# that add none. Sound has a price of its own; pictures have not.
_PAID_WORK: Mapping[str, Callable[[Any], bool]] = {
    "web_search_options": lambda _: False,
    "plugins": lambda plugins: plugins == [],
    "search_parameters": lambda search: isinstance(search, Mapping) and search.get("mode") == "off",
    "modalities": lambda kinds: isinstance(kinds, list) and "image" not in kinds,
}
_NAMES = frozenset({*_USUAL, *_PAID_WORK})
_NOTHING: Mapping[str, str] = {}


def unlisted(request: Request) -> Mapping[str, str]:
    """For each family at which the request costs more than list prices, the field that says so."""
    body = request.native or request.body
    if _NAMES.isdisjoint(body):
        return _NOTHING
    return {family: name for name, families in _fields(request, body) for family in families}


def _fields(
    request: Request, body: Mapping[str, object]
) -> Iterator[tuple[str, tuple[Family, ...]]]:
    families = _ANTHROPIC if request.dialect == "messages" else _OPENAI
    for name, usual in _USUAL.items():
        value = body.get(name)
        if value is not None and not (isinstance(value, str) and value in usual):
            yield name, families
    if request.dialect == "chat":
        for name, adds_none in _PAID_WORK.items():
            value = body.get(name)
            if value is not None and not adds_none(value):
                yield name, _CHAT
