"""What tool definitions ask for, and how well they fit the question, as plain numbers.

Three things decide whether a tool call will be right: does any tool fit at all, does the question
give what the tool requires, and how many calls does it ask for? Invariant: pure and total; a
prompt without tools has zeros. This module does not know models, prices or outcomes.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from math import log1p
from typing import Any, NamedTuple

NAMES = (
    "functions", "function_length", "parameters", "required", "name_overlap", "text_overlap",
    "parameter_overlap", "numbers_a_parameter", "second_overlap", "fitting", "covered", "given",
    "enums_named", "enums", "nested", "optional", "numbers_a_number", "names_a_text",
    "repeated_units", "actions", "schema_types",
)  # fmt: skip

# Tools beyond these are not compared with the question: it would take long and tell little.
MOST_TOOLS = 16

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WITH_UNIT = re.compile(r"\d[\d.,]*\s*([A-Za-z%]+)")
_NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z]+|\"[^\"]+\"|'[^']+'")
_WORD = re.compile(r"[A-Za-z]{3,}")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


_ACTIONS = _words(
    "find calculate get compute determine book convert order search solve list show check give"
    " tell plot create what how who when where which analyze identify schedule predict simulate"
    " retrieve look play buy set add"
)
# As stems, of which only five letters are kept.
_COMMON = _words(
    "the and for with from that this what which how who when where are was were can you have has"
    " will would shoul could into than then also pleas using give tell want need about some any"
    " its their his her your our not but does did all one two"
)
_STANDARD_TYPES = _words("string integer number float boolean array object dict list tuple any")
_NUMERIC = _words("integer number float double long int")
_NESTED = _words("array object dict list tuple")


class _Tool(NamedTuple):
    name: set[str]
    text: set[str]
    required: tuple[str, ...]
    properties: Mapping[str, Mapping[str, Any]]


def tool_features(functions: str, text: str) -> list[float]:
    """The figures of ``NAMES`` for tool definitions in JSON and the question ``text``."""
    tools = [_parsed(tool) for tool in parse_tools(functions)]
    if not tools:
        return [0.0] * len(NAMES)
    question_stems = {stem for stem in stems(text) if stem not in _COMMON}
    shares = [_overlap(tool.text, question_stems) for tool in tools[:MOST_TOOLS]]
    best = tools[max(range(len(shares)), key=shares.__getitem__)]
    return [
        log1p(len(tools)),
        log1p(len(functions)),
        log1p(sum(len(tool.properties) for tool in tools)),
        log1p(sum(len(tool.required) for tool in tools)),
        max(_overlap(tool.name, question_stems) for tool in tools),
        max(shares),
        max(_overlap(stems(" ".join(tool.required)), question_stems) for tool in tools),
        len(_NUMBER.findall(text)) / (max(len(tool.required) for tool in tools) + 1),
        sorted(shares)[-2] if len(shares) > 1 else 0.0,
        log1p(sum(share >= 0.6 * max(shares) for share in shares)),
        len(question_stems & _vocabulary(best)) / (len(question_stems) + 1),
        *_argument_features(best, text),
        *_call_features(text),
        float(_has_foreign_types(tools)),
    ]


def parse_tools(functions: str) -> list[Mapping[str, Any]]:
    """The tool definitions in a JSON text, in OpenAI's shape or bare; none where it is not JSON."""
    try:
        parsed = json.loads(functions) if functions else []
    except (ValueError, RecursionError):
        return []
    listed = parsed if isinstance(parsed, list) else [parsed]
    tools = [tool for tool in listed if isinstance(tool, Mapping)]
    return [inner if isinstance(inner := tool.get("function"), Mapping) else tool for tool in tools]


def stems(text: str) -> set[str]:
    """The first five letters of every word, names in camel case taken apart."""
    return {word[:5].lower() for word in _WORD.findall(_HUMP.sub(" ", text))}


def _parsed(tool: Mapping[str, Any]) -> _Tool:
    schema = tool.get("parameters")
    schema = schema if isinstance(schema, Mapping) else {}
    properties, required = schema.get("properties"), schema.get("required")
    return _Tool(
        name=stems(str(tool.get("name", ""))),
        text=stems(str(tool.get("description", ""))),
        required=tuple(map(str, required)) if isinstance(required, list) else (),
        properties={
            str(name): value if isinstance(value, Mapping) else {}
            for name, value in (properties.items() if isinstance(properties, Mapping) else ())
        },
    )


def _vocabulary(tool: _Tool) -> set[str]:
    described = (
        f"{name} {value.get('description', '')}" for name, value in tool.properties.items()
    )
    return tool.name | tool.text | stems(" ".join(described))


def _argument_features(tool: _Tool, text: str) -> list[float]:
    """Whether the question gives what the best tool requires, and how much it takes."""
    kinds = [str(value.get("type", "")).lower() for value in tool.properties.values()]
    needed = [tool.properties.get(name, {}) for name in tool.required]
    numeric = sum(str(value.get("type", "")).lower() in _NUMERIC for value in needed)
    texts = sum(str(value.get("type", "")).lower() == "string" for value in needed)
    numbers, names = len(_NUMBER.findall(text)), len(_NAME.findall(text))
    given = min(numbers, numeric) + min(names, texts)
    lower = text.lower()
    enums = [value["enum"] for value in needed if isinstance(value.get("enum"), list)]
    named = sum(any(str(choice).lower() in lower for choice in choices) for choices in enums)
    return [
        given / (numeric + texts) if numeric + texts else 1.0,
        named / len(enums) if enums else 0.5,
        log1p(len(enums)),
        log1p(sum(kind in _NESTED for kind in kinds)),
        log1p(max(0, len(tool.properties) - len(tool.required))),
        numbers / (numeric + 1),
        names / (texts + 1),
    ]


def _call_features(text: str) -> list[float]:
    """How many calls the question asks for: a unit said again, and its verbs of action."""
    units = Counter(unit.lower() for unit in _WITH_UNIT.findall(text))
    actions = sum(word.lower() in _ACTIONS for word in _WORD.findall(text))
    return [float(max(units.values(), default=0)), log1p(actions)]


def _has_foreign_types(tools: Sequence[_Tool]) -> int:
    """1 where a schema speaks the types of a programming language, not those of JSON."""
    kinds = (str(value.get("type", "")) for tool in tools for value in tool.properties.values())
    return int(any(kind and kind not in _STANDARD_TYPES for kind in kinds))


def _overlap(of: set[str], others: set[str]) -> float:
    return len(of & others) / len(of) if of else 0.0
