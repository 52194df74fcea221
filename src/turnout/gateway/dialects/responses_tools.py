"""The tools of a Responses request as chat functions, and what calls of them are called.

A tool in a namespace gets one name, made of both names. A tool search that the caller runs becomes
a function, and the tools that it found join the others. Deferred tools are shown at once, so a tool
search by the provider is not needed.
Invariant: each function stands for one tool; hosted tools are left out (see ``core.hosted``).
Sources: platform.openai.com/docs/guides/function-calling ("Namespaces") and .../tools-tool-search.
This module does not know messages or events.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from msgspec import Struct

from turnout.core import InvalidRequest
from turnout.core.hosted import FOUND, tool_lists
from turnout.gateway.dialects.reading import mapping, objects
from turnout.gateway.dialects.responses_custom import CUSTOM, function_of
from turnout.gateway.dialects.tool_names import short

SEARCH = "tool_search"
_SAME = ("description", "parameters", "strict")

Item = Mapping[str, Any]


class Offered(Struct, frozen=True, kw_only=True):
    """A tool: its ``function`` in chat's shape; the type and the name of its calls in Responses."""

    function: dict[str, Any]
    kind: str
    name: str
    namespace: str | None = None


def offered(payload: Item | None) -> dict[str, Offered]:
    """The tools of a request by function name. Raises InvalidRequest."""
    found: dict[str, Offered] = {}
    (where, own), *others = tool_lists(payload or {})
    for tool in _tools(objects(own, where)):
        name = tool.function["name"]
        if name in found:
            raise InvalidRequest(f"two tools are called {name!r}; rename one", field="tools")
        found[name] = tool
    for where, tools in others:
        for tool in _tools(objects(tools, where)):
            found.setdefault(tool.function["name"], tool)
    return found


def function_name(name: str, namespace: object = None) -> str:
    """The name of a tool's function."""
    if not isinstance(namespace, str) or not namespace:
        return short(name)
    return short(f"{namespace}__{name}")


def found_text(item: Item) -> str:
    """The result of a tool search as text for the model, which gets the tools separately."""
    names = [tool.function["name"] for tool in _tools(objects(item.get("tools"), FOUND))]
    return f"These tools can be called now: {', '.join(names)}" if names else "No tool was found."


def search_of(arguments: str) -> dict[str, Any]:
    """The arguments of a tool search, from those of its function call."""
    try:
        value = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        value = arguments
    return value if isinstance(value, dict) else {"query": value}


def _tools(tools: list[Item], namespace: str | None = None) -> Iterator[Offered]:
    for tool in tools:
        kind = tool.get("type")
        if kind == "namespace" and namespace is None:
            inner = objects(tool.get("tools"), "tools.tools")
            yield from _tools(inner, str(tool.get("name") or ""))
        elif kind == SEARCH:
            yield from _search(tool)
        elif kind in ("function", CUSTOM):
            yield _offered(tool, str(kind), namespace)
        elif namespace is not None or not isinstance(kind, str) or not kind:
            where = "tools" if namespace is None else f"the namespace {namespace!r}"
            raise InvalidRequest(
                f"{where} has a tool of type {kind!r}; use a function or a custom tool",
                field="tools",
            )


def _offered(tool: Item, kind: str, namespace: str | None) -> Offered:
    name = tool.get("name")
    if not isinstance(name, str) or not name:
        raise InvalidRequest(f"tools has a {kind} without a name", field="tools")
    if kind == CUSTOM:
        function, called = function_of(tool), "custom_tool_call"
    else:
        function = {field: tool[field] for field in _SAME if tool.get(field) is not None}
        called = "function_call"
    function = {**function, "name": function_name(name, namespace)}
    return Offered(function=function, kind=called, name=name, namespace=namespace or None)


def _search(tool: Item) -> Iterator[Offered]:
    if tool.get("execution") == "client":
        schema = mapping(tool.get("parameters"), "tools.parameters")
        function = {
            "name": SEARCH,
            "description": str(tool.get("description") or "Searches for tools and loads them."),
            "parameters": schema or {"type": "object", "properties": {}},
        }
        yield Offered(function=function, kind="tool_search_call", name=SEARCH)
