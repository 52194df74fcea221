"""Surface features of a question: its length, numbers, options, wording and tools, as numbers.

Invariant: pure, total, and the same for the same text; no id, task name or fold is an input.
Such signs of difficulty carry over to unseen tasks, which vocabulary does not: long questions with
many numbers, conditions and clauses are harder in nearly every public task.
This module does not know models, prices or outcomes.
"""

import re
from collections.abc import Sequence
from math import log1p

from turnout.features import tools
from turnout.features.prompt import PromptText

SCHEMA = "difficulty/2"

# Reading more characters than this changes no result, and long prompts would take longer.
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
    "names", "quotes", *tools.NAMES,
)  # fmt: skip


def difficulty(prompt: PromptText) -> list[float]:
    """The figures of ``NAMES`` for a prompt; counts are on a log scale."""
    text = prompt.text[:_CHARACTERS_READ]
    stem, options = split_options(text)
    words = [word.lower() for word in _WORD.findall(text)]
    stem_words = [word.lower() for word in _WORD.findall(stem)] if options else words
    return [
        log1p(len(prompt.text)),
        *_shape(stem, stem_words),
        *_numbers(text, stem),
        *_options(options),
        log1p(len(stem)),
        *_alphabet(text),
        *_wording(stem_words),
        *_layout(text, stem),
        *_style(words, stem_words, stem),
        log1p(text.count("_")),
        log1p(len(_DECIMAL.findall(stem))),
        log1p(len(_NAME.findall(stem))),
        log1p(len(_QUOTE.findall(stem))),
        *tools.tool_features(prompt.functions, text),
    ]


def split_options(text: str) -> tuple[str, list[str]]:
    """The question and its answer options; of a long text only the beginning is read."""
    read = text[:_CHARACTERS_READ]
    options = _OPTION.findall(read)
    first = _OPTION.search(read) if options else None
    return (read[: first.start()] if first else read), options


def _shape(stem: str, stem_words: Sequence[str]) -> list[float]:
    letters = sum(map(len, stem_words)) / (len(stem_words) + 1)
    return [log1p(len(stem_words)), log1p(len(_SENTENCE_END.findall(stem)) + 1), letters]


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


def _wording(stem_words: Sequence[str]) -> list[float]:
    counts = [0] * len(_VOCABULARIES)
    for kinds in filter(None, map(_KINDS_OF.get, stem_words)):
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


def _style(words: Sequence[str], stem_words: Sequence[str], stem: str) -> list[float]:
    count = len(words) + 1
    return [
        len(stem_words) / (len(_SENTENCE_END.findall(stem)) + 1),
        len(set(words)) / count,
        sum(len(word) > 9 for word in words) / count,
        float(stem.rstrip().endswith("?")),
    ]
