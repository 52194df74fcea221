"""Input items as Responses lists them: with ids, and the text of messages in parts.

Invariant: an item's id is the same in every list, and no two items of a list have the same.
This module does not know where items are kept.
"""

from collections.abc import Iterable, Sequence

from turnout.gateway.dialects.responses_items import Item, text_part

# What ids begin with, by the item's type.
_PREFIXES = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "tool_search_call": "tsc",
    "tool_search_output": "tso",
}
_WITH_STATUS = ("message", "_call", "_call_output")


def listed_items(turns: Iterable[tuple[str, Sequence[Item], Sequence[Item]]]) -> list[Item]:
    """The items of some turns, which are a response's id, its input and its output each."""
    found: dict[str, Item] = {}
    for response_id, given, answered in turns:
        core = response_id.removeprefix("resp_")
        for place, item in enumerate([*given, *answered]):
            kind = item.get("type") or "message"
            # Unlike the id of an item that was answered: a reference to it finds nothing.
            own = f"{_PREFIXES.get(kind, 'item')}_{core}i{place:02d}"
            named = item.get("id")
            ident = named if isinstance(named, str) and named not in found else own
            found[ident] = _listed({**item, "id": ident, "type": kind})
    return list(found.values())


def _listed(item: Item) -> Item:
    if item["type"].endswith(_WITH_STATUS):
        item = {"status": "completed", **item}
    if item["type"] != "message":
        return item
    content = item.get("content")
    if isinstance(content, str):
        is_answer = item.get("role") == "assistant"
        content = [text_part(content) if is_answer else {"type": "input_text", "text": content}]
    return {**item, "content": content or []}
