"""Which parts of a conversation are classified.

The intent is read from the user's turns. Safety is judged on every string that the model will read:
all roles, content parts, names, tool calls and their arguments, tool results.
This module does not know how either is scored.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from turnout.core import Message, readable, text_of
from turnout.core.request import INSTRUCTION_ROLES

TURNS = 6
HEAD = 400
TAIL = 200
# A sentence of more characters is judged in parts, and one of fewer with the next.
LONG, SHORT = 160, 30
# Signs that end a sentence without white space after them, in scripts that do so.
WIDE_ENDS = "。！？；।"
# The end of a sentence stays with it; each sign is looked at once, however many stand in a row. One
# set of all signs in front lets the search skip everything else.
_ENDS = re.compile(
    rf"[.!?;:\"')\]{WIDE_ENDS}\n]"
    rf"(?:(?<=[.!?;:\"')\]])\s+|(?<=[{WIDE_ENDS}])|(?<=\n)\s*)"
)
_BLANKS = re.compile(r"\s+")
# So many characters are searched at once: a longer search would keep other threads waiting.
_SPAN = 2**16
_SPEAKERS = frozenset({"user", "assistant"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """``turns`` are the last user turns, oldest first; ``segments`` all that safety reads.

    ``contexts`` holds, for each turn but the first, what was said since the turn before it;
    ``instructions`` those segments that only the application says, before anybody else does.
    """

    turns: tuple[str, ...]
    contexts: tuple[str, ...]
    segments: tuple[str, ...]
    instructions: frozenset[str]

    @property
    def clips(self) -> list[str]:
        """The turns, of a long one both ends."""
        return [*map(clipped, self.turns)]


def window(messages: Sequence[Message]) -> Window:
    """The window over a conversation in OpenAI's shape."""
    messages_with_text = [(m.get("role"), text) for m in messages if (text := text_of(m)).strip()]
    user_places = [i for i, (role, _) in enumerate(messages_with_text) if role == "user"][-TURNS:]
    users = [messages_with_text[i][1] for i in user_places]
    turns = tuple(users) or tuple(text for _, text in messages_with_text[-1:])
    contexts = tuple(
        clipped("\n".join(text for role, text in messages_with_text[a:b] if role in _SPEAKERS))
        for a, b in pairwise(user_places)
    )
    instructed, others = _instructions_and_rest(messages)
    if len(users) > 1:
        # A request split over several turns is judged as one.
        others["\n".join(users)] = None
    return Window(
        turns=turns,
        contexts=contexts,
        segments=tuple({**instructed, **others}),
        instructions=frozenset(instructed.keys() - others.keys()),
    )


def _instructions_and_rest(messages: Sequence[Message]) -> tuple[dict[str, None], dict[str, None]]:
    """All texts in their order: what instructions say before the conversation, and the rest."""
    instructed: dict[str, None] = {}
    others: dict[str, None] = {}
    conversation_begun = False
    for message in messages:
        conversation_begun = conversation_begun or message.get("role") in _SPEAKERS
        instructs = not conversation_begun and message.get("role") in INSTRUCTION_ROLES
        (instructed if instructs else others).update(dict.fromkeys(readable(message)))
    return instructed, others


def lone_prompt(messages: Sequence[Message]) -> str | None:
    """The text of a conversation that is one short prompt and nothing else, else None."""
    if len(messages) != 1 or len(messages[0]) != 2:
        return None
    role, text = messages[0].get("role"), messages[0].get("content")
    is_short = isinstance(text, str) and len(text) <= HEAD + TAIL
    return text if is_short and role == "user" else None


def clipped(text: str) -> str:
    """The two ends of a long text, where its instruction usually stands."""
    return text if len(text) <= HEAD + TAIL else text[:HEAD] + "\n" + text[-TAIL:]


def chunks(text: str) -> list[str]:
    """The whole text in stretches of sentences, each short enough to be judged at once."""
    return _sentence_runs(text, HEAD + TAIL, HEAD + TAIL)


def sentences(text: str) -> list[str]:
    """The whole text in sentences, so that an unsafe one is not lost among the others."""
    return _sentence_runs(text, SHORT, LONG)


def long_part_sentences(parts: Sequence[str]) -> list[str]:
    """The sentences of long parts, each by itself."""
    return [sentence for part in parts if len(part) > LONG for sentence in sentences(part)]


def _sentence_runs(text: str, min_characters: int, max_characters: int) -> list[str]:
    """Parts that end where sentences do and are long enough; blank ones are left out."""
    if len(text) <= min_characters:
        return [text] if text.strip() else []
    found: list[str] = []
    start = last = 0
    for end in (*_sentence_ends(text), len(text)):
        if last > start and (last - start >= min_characters or end - start > max_characters):
            found.append(text[start:last])
            start = last
        while end - start > max_characters:
            found.append(text[start : start + max_characters])
            start += max_characters
        last = end
    return [part for part in (*found, text[start:]) if part.strip()]


def _sentence_ends(text: str) -> Iterator[int]:
    """Where sentences end, searched span by span; an end between two spans comes twice."""
    at = 0
    while at < len(text):
        upto = at + _SPAN
        # The sign before may have ended a sentence, if blanks follow.
        for match in _ENDS.finditer(text, max(at - 1, 0), upto):
            if match.end() == upto and match.group()[-1].isspace():
                # The blanks that end a sentence may go on.
                upto = _after_blanks(text, upto)
                yield upto
            else:
                yield match.end()
        at = upto


def _after_blanks(text: str, at: int) -> int:
    while match := _BLANKS.match(text, at, at + _SPAN):
        at = match.end()
    return at
