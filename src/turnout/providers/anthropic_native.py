"""Passes a Messages body on to an API of the same kind, with the changes that the model needs.

Invariant: unknown fields pass; thoughts that another model signed are left out.
Source: platform.claude.com/docs/en/build-with-claude/extended-thinking.
"""

from collections.abc import Mapping
from typing import Any

from turnout.providers.anthropic_thinking import with_thinking_for
from turnout.providers.instructions import system_as_user, takes_anywhere
from turnout.providers.signatures import unmarked
from turnout.providers.tool_ids import portable

Block = Mapping[str, Any]

THOUGHTS = ("thinking", "redacted_thinking")


def native_body(native: Mapping[str, Any], model: str, mark: str, *, trust: bool) -> dict[str, Any]:
    """The body for ``model``; ``trust``: the caller chose the model by name."""
    # A caller who chose the model wrote the settings for it.
    body = {**(native if trust else with_thinking_for(model, native)), "model": model}
    body.pop("stream", None)
    turns = native["messages"] if takes_anywhere(model) else system_as_user(native["messages"])
    messages = [_turn(message, mark, trust=trust) for message in turns]
    kept = [message for message in messages if message.get("content", True)]
    body["messages"] = stripped_at_end(kept)
    budgeted = (body.get("thinking") or {}).get("type") == "enabled"
    if budgeted and _breaks_a_tool_loop(native["messages"], body["messages"]):
        # With a budget, a tool loop without thoughts of this model must go on without thinking.
        body.pop("thinking")
    return body


def stripped_at_end(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages; if the last one begins an answer, without the blanks at its end.

    Anthropic's API refuses those blanks.
    """
    if not messages or messages[-1].get("role") != "assistant":
        return messages
    last = messages[-1]
    content = last["content"]
    if isinstance(content, str):
        content = content.rstrip()
    elif content[-1].get("type") == "text":
        content = [*content[:-1], {**content[-1], "text": content[-1]["text"].rstrip()}]
    return [*messages[:-1], {**last, "content": content}]


def _turn(message: Mapping[str, Any], mark: str, *, trust: bool) -> dict[str, Any]:
    content = message.get("content")
    if not isinstance(content, list):
        return dict(message)
    blocks = (_block(block, mark, trust=trust) for block in content)
    return {**message, "content": [block for block in blocks if block is not None]}


def _block(block: Block, mark: str, *, trust: bool) -> Block | None:
    kind = block.get("type")
    if kind == "thinking":
        signature = unmarked(block.get("signature"), mark, trust=trust)
        return None if signature is None else {**block, "signature": signature}
    if kind == "redacted_thinking":
        data = unmarked(block.get("data"), mark, trust=trust)
        return {**block, "data": data} if data else None
    if kind == "text" and not str(block.get("text") or "").strip():
        return None  # the API refuses blank texts
    if kind == "tool_use":
        return {**block, "id": portable(str(block.get("id") or ""))}
    if kind == "tool_result":
        return {**block, "tool_use_id": portable(str(block.get("tool_use_id") or ""))}
    return block


def _breaks_a_tool_loop(before: list[Block], after: list[dict[str, Any]]) -> bool:
    """Whether the last answer called tools and has lost thoughts."""
    whole, kept = _last_answer(before), _last_answer(after)
    calls = any(b.get("type") == "tool_use" for b in kept)
    return calls and _thoughts(whole) != _thoughts(kept)


def _last_answer(messages: list[Any]) -> list[Block]:
    answers = [m["content"] for m in messages if m.get("role") == "assistant"]
    return answers[-1] if answers and isinstance(answers[-1], list) else []


def _thoughts(blocks: list[Block]) -> int:
    return sum(b.get("type") in THOUGHTS for b in blocks)
