"""What a call is for, by its body: a turn, a step of a tool loop, a sub-agent's work, background.

Invariant: pure and total for every checked body; only the beginnings of its first and last texts
are looked at. In doubt a call is a turn. This module does not know headers.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from operator import methodcaller

from turnout.core import CallKind, Message, Request
from turnout.core.request import INSTRUCTING

# An answer capped at so few tokens is read by a program: a label, a yes or no, a test of a key.
_FEW_TOKENS = 16
_LOOKED_AT, _PARTS = 400, 4
_RESULTS = frozenset({"tool", "function"})
# How texts begin that programs add to a user's message beside the results of tools.
_REMINDER = "<system-reminder>"

# How instructions begin when programs ask on their own account: Claude Code, opencode, aider,
# Gemini CLI and Qwen Code.
_CHORES = (
    "Generate a concise, sentence-case title",
    "Analyze if this message indicates a new conversation topic",
    "You are a helpful AI assistant tasked with summarizing conversations",
    "You are a title generator",
    "You are an expert software engineer that generates concise, one-line Git commit messages",
    "*Briefly* summarize this partial conversation",
    "You are the component that summarizes internal chat history",
)
# How a user's message begins in such calls, also of Open WebUI and LibreChat.
_CHORES_ASKED = (
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
# Claude Code's line for Anthropic's books says so too.
_BOOKS, _SAYS_SUB_AGENT = "x-anthropic-billing-header", "cc_is_subagent=true"

_is_chore_told = methodcaller("startswith", _CHORES)
_is_chore_asked = methodcaller("startswith", _CHORES_ASKED)
_is_summary = methodcaller("startswith", _SUMMARIES)
_is_reminder = methodcaller("startswith", _REMINDER)


def call_kind(request: Request) -> CallKind:
    """What the caller says the call is for, else what its body shows."""
    if request.kind is not None:
        return request.kind
    messages = request.messages
    first, last = messages[0], messages[-1]
    told = _openings(first) if first.get("role") in INSTRUCTING else []
    asked = _openings(last) if last.get("role") == "user" else []
    if _is_chore(request, told, asked):
        return "background"
    if told and any(text.startswith(_SUB_AGENTS) or _is_booked(text) for text in told):
        return "sub_agent"
    return "tool_step" if _follows_a_tool(messages) else "turn"


def _is_chore(request: Request, told: Sequence[str], asked: Sequence[str]) -> bool:
    if any(map(_is_summary, asked)):
        return True
    if request.tools or request.body.get("functions"):
        return False
    cap = request.max_output_tokens
    few = cap is not None and cap <= _FEW_TOKENS
    return few or any(map(_is_chore_told, told)) or any(map(_is_chore_asked, asked))


def _is_booked(text: str) -> bool:
    return text.startswith(_BOOKS) and _SAYS_SUB_AGENT in text


def _follows_a_tool(messages: Sequence[Message]) -> bool:
    """Whether the conversation ends with a tool's result, and no person has written since."""
    for message in reversed(messages):
        role = message.get("role")
        if role in _RESULTS:
            return True
        if role in INSTRUCTING:
            continue
        if role != "user" or not all(map(_is_reminder, _texts(message))):
            return False
    return False


def _openings(message: Message) -> list[str]:
    """How the first texts of a message begin."""
    return list(islice(_texts(message), _PARTS))


def _texts(message: Message) -> Iterable[str]:
    """How each text of a message begins."""
    content = message.get("content")
    if isinstance(content, str):
        return (content[:_LOOKED_AT].lstrip(),)
    return _texts_of(content or ())


def _texts_of(parts: Sequence[Message]) -> Iterator[str]:
    for part in parts:
        text = part.get("text")
        if isinstance(text, str):
            yield text[:_LOOKED_AT].lstrip()
