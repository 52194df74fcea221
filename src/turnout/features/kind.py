"""What a call is for, by its body: a turn, a step of a tool loop, a sub-agent's work, background.

Invariant: pure and total for every checked body; it reads only the beginnings of the first and last
texts. In doubt a call is a turn. This module does not know headers.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import methodcaller

from turnout.core import CallKind, Message, Request
from turnout.core.request import INSTRUCTION_ROLES

# An answer capped at so few tokens is read by a program: a label, a yes or no, a test of a key.
_FEW_TOKENS = 16
_OPENING_CHARACTERS, _OPENING_TEXTS = 400, 4
_RESULTS = frozenset({"tool", "function"})
# How texts begin that programs add to a user's message beside the results of tools.
_REMINDER = "<system-reminder>"

# How instructions begin when programs ask on their own account: Claude Code, opencode, aider,
# Gemini CLI and Qwen Code.
_BACKGROUND_INSTRUCTIONS = (
    "Generate a concise, sentence-case title",
    "Analyze if this message indicates a new conversation topic",
    "You are a helpful AI assistant tasked with summarizing conversations",
    "You are a title generator",
    "You are an expert software engineer that generates concise, one-line Git commit messages",
    "*Briefly* summarize this partial conversation",
    "You are the component that summarizes internal chat history",
)
# How a user's message begins in such calls, also of Open WebUI and LibreChat.
_BACKGROUND_QUESTIONS = (
    "Generate a title for this conversation",
    "Please write a 5-10 word title for the following conversation",
    "Provide a concise, 5-word-or-less title",
    "### Task:\nGenerate ",
    "### Task:\nSuggest ",
    "Analyze *only* the content and structure of your immediately preceding response",
)
# The same, in calls that still have the conversation's tools.
_SUMMARIES = (
    "Your task is to create a detailed summary of the conversation",
    "CRITICAL: Respond with TEXT ONLY",
    "You are performing a CONTEXT CHECKPOINT COMPACTION",
    "[SUGGESTION MODE",
)
_SUB_AGENTS = (
    "You are an agent for Claude Code",
    "You are a file search specialist",
    "You are a software architect and planning specialist for Claude Code",
)
# Claude Code's line for Anthropic's billing says so too.
_BILLING_LINE, _SUB_AGENT_MARK = "x-anthropic-billing-header", "cc_is_subagent=true"

_is_background_instruction = methodcaller("startswith", _BACKGROUND_INSTRUCTIONS)
# What only programs write, at the beginning of a user message.
_is_marked = methodcaller("startswith", (*_BACKGROUND_QUESTIONS, *_SUMMARIES))
_is_summary = methodcaller("startswith", _SUMMARIES)
_is_reminder = methodcaller("startswith", _REMINDER)


def call_kind(request: Request) -> CallKind:
    """What the caller says the call is for, else what its body shows."""
    if request.kind is not None:
        return request.kind
    messages = request.messages
    first, last = messages[0], messages[-1]
    instructions = _first_openings(first) if first.get("role") in INSTRUCTION_ROLES else ()
    user_texts = _first_openings(last) if last.get("role") == "user" else ()
    if _is_background(request, instructions, user_texts):
        return "background"
    if instructions and any(
        text.startswith(_SUB_AGENTS) or _is_sub_agent_billing(text) for text in instructions
    ):
        return "sub_agent"
    if user_texts and not user_texts[0].startswith(_REMINDER):
        return "turn"  # as most end
    return "tool_step" if _follows_a_tool(messages) else "turn"


def _is_background(
    request: Request, instructions: Sequence[str], user_texts: Sequence[str]
) -> bool:
    marked = [*filter(_is_marked, user_texts)]
    if marked and any(map(_is_summary, marked)):
        return True
    if request.tools or request.body.get("functions"):
        return False
    cap = request.max_output_tokens
    few = cap is not None and cap <= _FEW_TOKENS
    return few or bool(marked) or any(map(_is_background_instruction, instructions))


def _is_sub_agent_billing(text: str) -> bool:
    return text.startswith(_BILLING_LINE) and _SUB_AGENT_MARK in text


def _follows_a_tool(messages: Sequence[Message]) -> bool:
    """Whether the conversation ends with a tool's result, and no person has written since."""
    for message in reversed(messages):
        role = message.get("role")
        if role in _RESULTS:
            return True
        if role in INSTRUCTION_ROLES:
            continue
        if role != "user" or not all(map(_is_reminder, _text_openings(message))):
            return False
    return False


def _first_openings(message: Message) -> tuple[str, ...]:
    """How the first texts of a message begin."""
    openings = _text_openings(message)
    return openings if isinstance(openings, tuple) else tuple(islice(openings, _OPENING_TEXTS))


def _text_openings(message: Message) -> Iterable[str]:
    """How each text of a message begins."""
    content = message.get("content")
    if isinstance(content, str):
        return (content[:_OPENING_CHARACTERS].lstrip(),)
    return _part_openings(content or ())


def _part_openings(parts: Sequence[Message]) -> Iterator[str]:
    for part in parts:
        text = part.get("text")
        if isinstance(text, str):
            yield text[:_OPENING_CHARACTERS].lstrip()
