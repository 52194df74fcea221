"""Passes a Responses body on to an API of the same kind.

Invariant: unknown fields, tools and items pass. Other models' thoughts are left out, and so are the
ids of items: nothing is stored at the provider, which refuses an id that it does not know.
Source: platform.openai.com/docs/api-reference/responses/create.
"""

from collections.abc import Mapping
from typing import Any

from turnout.providers.responses_thoughts import ENCRYPTED, always_reasons, own_item
from turnout.providers.tool_ids import opaque_user, portable

# Fields that are set for each call, that the gateway itself handles, or that need state.
_NOT_PASSED = frozenset(
    {
        "model", "stream", "store", "metadata", "background", "previous_response_id",
        "conversation", "prompt",
    }
)  # fmt: skip
_CALLS = frozenset({"function_call", "custom_tool_call"})
_RESULTS = frozenset({"function_call_output", "custom_tool_call_output"})

Item = Mapping[str, Any]


def native_body(
    native: Mapping[str, Any], model: str, mark: str, left_out: frozenset[str], *, trust: bool
) -> dict[str, Any]:
    """The body for ``model``; ``trust``: the caller chose the model by name.

    ``left_out`` are the settings that the model refuses.
    """
    body = {name: value for name, value in native.items() if name not in _NOT_PASSED}
    body |= {"model": model, "store": False}
    if isinstance(native["input"], list):
        items = (_item(item, mark, trust=trust) for item in native["input"])
        body["input"] = [item for item in items if item is not None]
    if "user" in body:
        body["user"] = opaque_user(body["user"])
    _leave_out(body, left_out)
    include = list(body.get("include") or ())
    asked = body.get("reasoning") or always_reasons(model)
    if asked and ENCRYPTED not in include and "include" not in left_out:
        body["include"] = [*include, ENCRYPTED]
    return body


def _leave_out(body: dict[str, Any], left_out: frozenset[str]) -> None:
    """Removes settings that are inside another field."""
    inner = (
        ("reasoning", "effort", "reasoning_effort"),
        ("reasoning", "summary", "summary"),
        ("text", "verbosity", "verbosity"),
    )
    for field, name, setting in inner:
        if setting in left_out and body.get(field):
            body[field] = {k: v for k, v in body[field].items() if k != name}


def _item(item: Item, mark: str, *, trust: bool) -> Item | None:
    kind = item.get("type") or "message"
    if kind == "reasoning":
        return own_item(item, mark, trust=trust)
    if kind == "item_reference":
        return None  # refers to a thought, which is not there
    if kind == "message" or kind in _CALLS:
        item = {name: value for name, value in item.items() if name != "id"}
    if (kind in _CALLS or kind in _RESULTS) and isinstance(item.get("call_id"), str):
        return {**item, "call_id": portable(item["call_id"])}
    return item
