"""What a question looks like: its length, numbers, options, wording and tools, as plain numbers.

Invariant: pure, total, and the same for the same text; no id, task name or fold can reach it.
Surface marks of difficulty carry over to unseen tasks where vocabulary does not: long questions
with many numbers, conditions and clauses are harder in nearly every public task.
This module does not know models, prices or outcomes.
"""

import json
import re
from collections.abc import Mapping, Sequence
from math import log1p
from typing import Any

from turnout.features.prompt import PromptText

SCHEMA = "difficulty/1"

# Reading more than this changes no figure and would make long prompts slow.
_CHARACTERS_READ = 4000
_OPTION = re.compile(r"(?m)^[ \t]*\(?[A-J][.)][ \t]*(.*)$")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[A-Za-z']+")
_SENTENCE_END = re.compile(r"[.!?]+(?:\s|$)")
_DIGIT, _UPPER = re.compile(r"\d"), re.compile(r"[A-Z]")
_MARK, _FOREIGN = re.compile(r"[^\w\s]"), re.compile(r"[^\x00-\x7f]")
_OPERATOR, _LATEX = re.compile(r"[+=*/^<>]"), re.compile(r"[\\$]")
_DECIMAL = re.compile(r"\d\.\d")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]+")
_QUOTE = re.compile(r"[\"“‘]|(?<=\s)'")
_VOCABULARIES = {
    "negations": "not except least never none neither nor without",
    "conditions": "if then when after before each every than twice half times more less remaining"
    " left total rest",
    "code": "def return function class import print python list string array tuple",
    "logic": "all some every only statement true false therefore implies iff valid premise"
    " argument conclusion proposition",
    "questions": "who when where which what why how",
    "persons": "i you he she they we his her their my your",
    "tasks": "calculate compute find determine evaluate solve estimate percent probability average"
    " rate ratio equation integral derivative much many",
    "joins": "and also both respectively",
}
_KINDS_OF: dict[str, list[int]] = {}
for _number, _words in enumerate(_VOCABULARIES.values()):
    for _word in _words.split():
        _KINDS_OF.setdefault(_word, []).append(_number)

NAMES = (
    "characters", "words", "sentences", "letters_a_word", "digits", "numbers", "longest_number",
    "options", "option_length", "numeric_options", "stem_length", "upper", "marks", "latex",
    *_VOCABULARIES, "clauses", "lines", "question_marks", "operators", "foreign",
    "words_a_sentence", "distinct_words", "long_words", "ends_asking", "blanks", "decimals",
    "names", "quotes",
    "functions", "function_length", "parameters", "required", "name_overlap", "text_overlap",
    "parameter_overlap", "numbers_a_parameter",
)  # fmt: skip


def difficulty(prompt: PromptText) -> list[float]:
    """The figures of ``NAMES`` for a prompt; counts are on a log scale."""
    text = prompt.text[:_CHARACTERS_READ]
    options = _OPTION.findall(text)
    first = _OPTION.search(text) if options else None
    stem = text[: first.start()] if first else text
    words = [word.lower() for word in _WORD.findall(text)]
    asked = words if first is None else [word.lower() for word in _WORD.findall(stem)]
    return [
        log1p(len(prompt.text)),
        *_shape(stem, asked),
        *_numbers(text, stem),
        *_options(options),
        log1p(len(stem)),
        *_alphabet(text),
        *_wording(asked),
        *_layout(text, stem),
        *_style(words, asked, stem),
        log1p(text.count("_")),
        log1p(len(_DECIMAL.findall(stem))),
        log1p(len(_NAME.findall(stem))),
        log1p(len(_QUOTE.findall(stem))),
        *_tools(prompt.functions, asked, len(_NUMBER.findall(stem))),
    ]


def _shape(stem: str, asked: Sequence[str]) -> list[float]:
    letters = sum(map(len, asked)) / (len(asked) + 1)
    return [log1p(len(asked)), log1p(len(_SENTENCE_END.findall(stem)) + 1), letters]


def _numbers(text: str, stem: str) -> list[float]:
    numbers = _NUMBER.findall(stem)
    longest = max(map(len, numbers), default=0)
    share = len(_DIGIT.findall(text)) / (len(text) + 1)
    return [share, log1p(len(numbers)), log1p(longest)]


def _options(options: Sequence[str]) -> list[float]:
    count = len(options)
    if not count:
        return [0.0, 0.0, 0.0]
    numeric = sum(_DIGIT.search(option) is not None for option in options)
    return [float(count), log1p(sum(map(len, options)) / count), numeric / count]


def _alphabet(text: str) -> list[float]:
    size = len(text) + 1
    return [
        len(_UPPER.findall(text)) / size,
        len(_MARK.findall(text)) / size,
        log1p(len(_LATEX.findall(text))),
    ]


def _wording(asked: Sequence[str]) -> list[float]:
    counts = [0] * len(_VOCABULARIES)
    for kinds in filter(None, map(_KINDS_OF.get, asked)):
        for kind in kinds:
            counts[kind] += 1
    return [log1p(count) for count in counts]


def _layout(text: str, stem: str) -> list[float]:
    return [
        log1p(stem.count(",") + stem.count(";")),
        log1p(text.count("\n")),
        log1p(text.count("?")),
        log1p(len(_OPERATOR.findall(text))),
        len(_FOREIGN.findall(text)) / (len(text) + 1),
    ]


def _style(words: Sequence[str], asked: Sequence[str], stem: str) -> list[float]:
    count = len(words) + 1
    return [
        len(asked) / (len(_SENTENCE_END.findall(stem)) + 1),
        len(set(words)) / count,
        sum(len(word) > 9 for word in words) / count,
        float(stem.rstrip().endswith("?")),
    ]


def _tools(functions: str, asked: Sequence[str], numbers: int) -> list[float]:
    if not functions:
        return [0.0] * 8
    tools = parse_tools(functions)
    stems = {word[:5] for word in asked if len(word) > 2}
    names = [_stems(str(tool.get("name", ""))) for tool in tools]
    texts = [_stems(str(tool.get("description", ""))) for tool in tools]
    schemas = [p for tool in tools if isinstance(p := tool.get("parameters"), Mapping)]
    required = [set(map(str, p.get("required") or ())) for p in schemas]
    most = max(map(len, required), default=0)
    return [
        log1p(len(tools)),
        log1p(len(functions)),
        log1p(sum(len(p.get("properties") or ()) for p in schemas)),
        log1p(sum(map(len, required))),
        max((_overlap(name, stems) for name in names), default=0.0),
        max((_overlap(words, stems) for words in texts), default=0.0),
        max((_overlap(_stems(" ".join(r)), stems) for r in required), default=0.0),
        numbers / (most + 1),
    ]


def parse_tools(functions: str) -> list[Mapping[str, Any]]:
    """The tool definitions in a JSON text, in OpenAI's shape or bare; none where it is not JSON."""
    try:
        parsed = json.loads(functions)
    except ValueError:
        return []
    listed = parsed if isinstance(parsed, list) else [parsed]
    tools = [tool for tool in listed if isinstance(tool, Mapping)]
    return [inner if isinstance(inner := tool.get("function"), Mapping) else tool for tool in tools]


def _stems(text: str) -> set[str]:
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    return {w[:5].lower() for w in re.findall(r"[A-Za-z]{3,}", split)}


def _overlap(of: set[str], stems: set[str]) -> float:
    return len(of & stems) / len(of) if of else 0.0
