"""From YAML text to plain values, each with its line.

Invariant: YAML's own conversions of a text (dates, numbers in base 60 or 8, merged keys, a second
value for one key) never happen: the text is kept as written, or refused with its line.
This module does not know what the settings are.
"""

import re
from typing import Any

import yaml

from turnout.core import ConfigError

Lines = dict[tuple[str, ...], int]

ENV = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PASTED_MAP = re.compile(r"^MODEL_MAP\s*=\s*", re.MULTILINE)

_YAML = "tag:yaml.org,2002:"
_DATE_TAG, _MERGE_TAG = f"{_YAML}timestamp", f"{_YAML}merge"
# 22:00 is 1320 in YAML, and 0100 is 64.
_ODD_NUMBER = re.compile(r"[-+]?\d[\d_]*(:[0-5]?\d)+(\.[\d_]*)?|[-+]?0[\d_]+")
_MOST_LEVELS, _MOST_VALUES = 64, 100_000  # levels and values; an alias within itself has no end


def parse_yaml(text: str, name: str) -> tuple[dict[str, Any], Lines]:
    """The settings in ``text`` with the line of each path. Raises ConfigError in one line.

    A pasted ``MODEL_MAP = {...}`` is a setting too.
    """
    lines: Lines = {}
    try:
        node = yaml.compose(_PASTED_MAP.sub("MODEL_MAP: ", text), Loader=yaml.SafeLoader)
        if isinstance(node, yaml.MappingNode):
            return _mapping(node, (), lines), lines
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: {_yaml_problem(error, text)}") from error
    except ValueError as error:
        raise ConfigError(f"{name}: {error}") from error
    except RecursionError as error:
        raise ConfigError(f"{name}: is nested more than {_MOST_LEVELS} levels deep") from error
    raise ConfigError(f"{name}: holds no settings; start with 'provider: runcrate'")


def _yaml_problem(error: yaml.YAMLError, text: str) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}: " if mark else ""
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    if mark and ENV.search([*text.splitlines(), ""][mark.line]):
        problem += '; put "${NAME}" in quotes'
    return f"{where}not valid YAML: {problem}"


def _value(node: Any, path: tuple[str, ...], lines: Lines) -> Any:
    """The node as plain values, each path's line noted. Raises ValueError with the line."""
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if len(path) > _MOST_LEVELS:
        raise ValueError(f"line {line}: is nested more than {_MOST_LEVELS} levels deep")
    if len(lines) > _MOST_VALUES:
        raise ValueError(f"line {line}: holds more than {_MOST_VALUES:,} values")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, str(i)), lines) for i, item in enumerate(node.value)]
    if path[:1] == ("MODEL_MAP",) and node.value == "None":
        return None  # as Python writes it
    return _scalar(node)


def _mapping(node: yaml.MappingNode, path: tuple[str, ...], lines: Lines) -> dict[str, Any]:
    lines.setdefault(path, node.start_mark.line + 1)
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key, line = _key(key_node), key_node.start_mark.line + 1
        if key in found:
            raise ValueError(f"line {line}: {'.'.join((*path, key))} is given twice; keep one")
        lines[*path, key] = line
        found[key] = _value(value_node, (*path, key), lines)
    return found


def _key(node: yaml.Node) -> str:
    line = node.start_mark.line + 1
    if node.tag == _MERGE_TAG:
        raise ValueError(f"line {line}: '<<' does not merge; write these settings out")
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    raise ValueError(f"line {line}: a name must be one word or text, not a list or a mapping")


def _scalar(node: Any) -> Any:
    """The value; as written if YAML would turn it into something that no setting can be."""
    if node.tag == _DATE_TAG or (node.style is None and _ODD_NUMBER.fullmatch(node.value)):
        return node.value
    try:
        return yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        line, tag = node.start_mark.line + 1, node.tag.replace(_YAML, "!!")
        fix = 'write the value alone, or "${NAME}" for what the environment has'
        raise ValueError(f"line {line}: {tag} {node.value!r} cannot be read; {fix}") from error
