"""Labelled rows to train on, from JSON lines, plain or gzipped.

A row is ``{text | messages, intent, source}`` and may have ``lang``, ``licence`` and ``kind``.
``intent`` is one of the benign intents, ``unsafe``, or null for a prompt that is only known to
be safe. ``kind`` separates ``injection`` from ``harm`` among unsafe rows. A conversation may have
``next``, a list of ``{text, intent, kind}``: each is a turn that may come next, and a row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from turnout.core import UNSAFE, ConfigError, InvalidRequest, Message, check_body, text_of
from turnout.evaluation.row_files import open_unpacked

INTENTS = (
    "simple_qa",
    "creative",
    "code",
    "reasoning",
    "chat",
    "translation",
    "summarization",
    "extraction",
    "writing",
)
INJECTION = "injection"
SWITCH = "switch"
FOLLOW_UP = "follow_up"
LABEL_ATTACK = "label_attack"
# A mould that does not mention labels: a story around the prompt, or a task that is called off.
DETOUR = "detour"
MOULDS = frozenset({LABEL_ATTACK, DETOUR})
# A mould of an attack that is used to find asides, but not for the labels' heads.
TALK = "talk"
# A mould used only to learn what calls off a task: the clause before the prompt's place.
CALLED_OFF = "called_off"
_NO_PROMPTS = frozenset({*MOULDS, TALK, CALLED_OFF, FOLLOW_UP})
# A text that looks like an injection but is not.
INJECTION_BENIGN = "injection_benign"
# Made from other rows: used only for the labels' heads.
MADE = "made"
# Sets in which every unsafe row overrides instructions, although the rows have no kind.
INJECTION_SOURCES = frozenset({"cyberseceval_pi", "giskard_injections", "inthewild_jailbreaks"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One labelled conversation; ``intent`` is None where only safety is known.

    ``is_next`` says that its last turn is one of several that may follow the same conversation.
    """

    messages: tuple[Message, ...]
    intent: str | None
    source: str
    language: str = ""
    licence: str = ""
    kind: str = ""
    is_next: bool = False

    @property
    def turns(self) -> tuple[str, ...]:
        """The texts of the user's turns, oldest first."""
        return tuple(text_of(m) for m in self.messages if m.get("role") == "user")

    @property
    def text(self) -> str:
        """The user's last turn."""
        return self.turns[-1]

    @property
    def is_prompt(self) -> bool:
        """Whether the row is a prompt in its own right: not a bare follow-up and not a mould."""
        return len(self.turns) == 1 and self.kind not in _NO_PROMPTS

    @property
    def is_own(self) -> bool:
        """Whether the row is of our own prompts, or made from them."""
        return self.source.startswith("own")

    @property
    def may_be_reused(self) -> bool:
        """Whether other rows may be made of its text: a benign prompt of our own, itself not made.

        One that looks like an injection may not: inside a mould it would seem part of it.
        """
        fit = self.kind not in (MADE, INJECTION_BENIGN)
        return self.is_own and fit and self.is_prompt and self.intent in INTENTS

    @property
    def unsafe(self) -> bool:
        """Whether the row must be blocked."""
        return self.intent == UNSAFE

    @property
    def injection(self) -> bool:
        """Whether the row tries to override instructions."""
        return self.unsafe and (self.kind == INJECTION or self.source in INJECTION_SOURCES)

    def with_text(self, text: str, *, kind: str) -> "Row":
        """A row with the same label and only ``text`` as the user's message."""
        return replace(self, messages=({"role": "user", "content": text},), kind=kind)


def load(paths: Sequence[Path]) -> list[Row]:
    """All rows of the files, in order. Raises ConfigError naming file, line and field."""
    return [row for path in paths for row in _rows_of_file(path)]


def _rows_of_file(path: Path) -> Iterator[Row]:
    with open_unpacked(path) as file:
        for number, raw in enumerate(file, 1):
            if not raw.strip():
                continue
            try:
                yield from _rows_of_line(orjson.loads(raw))
            except (ValueError, TypeError, InvalidRequest) as error:
                raise ConfigError(f"{path}: line {number}: {error}") from error


def _rows_of_line(value: Any) -> Iterator[Row]:
    if not isinstance(value, dict):
        raise TypeError("not an object; write one object a line")
    row = _row(value)
    if "next" not in value:
        yield row
        return
    turns = value["next"]
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise TypeError("next is no list of objects; give {text, intent, kind} for each turn")
    for i, turn in enumerate(turns):
        if not turn.get("text"):
            raise ValueError(f"next[{i}].text is missing; give what the user says")
        turn_message = {"role": "user", "content": turn["text"]}
        next_row = _row({**value, **turn, "messages": [*row.messages, turn_message]})
        yield replace(next_row, is_next=True)


def _row(value: dict[str, Any]) -> Row:
    intent = value.get("intent")
    if intent is not None and intent != UNSAFE and intent not in INTENTS:
        known = ", ".join((*INTENTS, UNSAFE))
        raise ValueError(f"intent is {intent!r}; use one of {known}, or null")
    messages = value.get("messages") or [{"role": "user", "content": value.get("text")}]
    if value.get("messages") or value.get("text"):
        check_body({"messages": messages})
    if not any(m.get("role") == "user" and m.get("content") for m in messages):
        raise ValueError("text or messages is missing; give at least one user turn")
    return Row(
        messages=tuple(messages),
        intent=intent,
        source=str(value.get("source") or "unnamed"),
        language=str(value.get("lang") or ""),
        licence=str(value.get("licence") or ""),
        kind=str(value.get("kind") or ""),
    )
