"""The tools of a Responses request as functions of chat, and how calls of them are told back.

A namespace's tools get one name each, made of both names; a search for tools that the caller runs
is a function, and what it found joins the tools. Tools that wait to be found are shown at once, so
that a search by the provider has nothing left to find.
Invariant: each function stands for one tool; tools that run at OpenAI are none (``core.hosted``).
Sources: platform.openai.com/docs/guides/function-calling ("Namespaces") and .../tools-tool-search.
This module does not know messages or events.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from msgspec import Struct

from turnout.core import InvalidRequest
from turnout.gateway.dialects.reading import mapping, objects
from turnout.gateway.dialects.responses_custom import KIND, function_of
from turnout.gateway.dialects.tool_names import short

SEARCH, FOUND = "tool_search", "tool_search_output"
# Items that bring tools: of a search, and of a client that keeps its list in the input.
_BRINGING = frozenset({FOUND, "additional_tools"})
_SAME = ("description", "parameters", "strict")

Item = Mapping[str, Any]


class Offered(Struct, frozen=True, kw_only=True):
    """A tool: its ``function`` in chat's shape, and what a call of it is called in this API."""

    function: dict[str, Any]
    kind: str
    name: str
    namespace: str | None = None


def offered(payload: Item | None) -> dict[str, Offered]:
    """The tools of a request by the names of their functions. Raises InvalidRequest."""
    payload = payload or {}
    found: dict[str, Offered] = {}
    for tool in _tools(objects(payload.get("tools"), "tools")):
        name = tool.function["name"]
        if name in found:
            raise InvalidRequest(f"two tools are called {name!r}; rename one", field="tools")
        found[name] = tool
    for tool in _tools(_brought(payload.get("input"))):
        found.setdefault(tool.function["name"], tool)
    return found


def function_name(name: str, namespace: object = None) -> str:
    """The name of the function that stands for a tool."""
    if not isinstance(namespace, str) or not namespace:
        return short(name)
    return short(f"{namespace}__{name}")


def found_text(item: Item) -> str:
    """What a search's result says to the model, which sees the tools themselves as tools."""
    names = [tool.function["name"] for tool in _tools(objects(item.get("tools"), FOUND))]
    return f"These tools can be called now: {', '.join(names)}" if names else "No tool was found."


def search_of(arguments: str) -> dict[str, Any]:
    """What a search asks for, in the arguments of the function call that stands for it."""
    try:
        value = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        value = arguments
    return value if isinstance(value, dict) else {"query": value}


def _brought(items: object) -> list[Item]:
    found: list[Item] = []
    for item in items if isinstance(items, list) else ():
        if isinstance(item, Mapping) and item.get("type") in _BRINGING:
            found += objects(item.get("tools"), f"{item['type']}.tools")
    return found


def _tools(tools: list[Item], namespace: str | None = None) -> Iterator[Offered]:
    for tool in tools:
        kind = tool.get("type")
        if kind == "namespace" and namespace is None:
            inner = objects(tool.get("tools"), "tools.tools")
            yield from _tools(inner, str(tool.get("name") or ""))
        elif kind == SEARCH:
            yield from _search(tool)
        elif kind in ("function", KIND):
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
    if kind == KIND:
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
