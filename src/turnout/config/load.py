"""From YAML text to a validated configuration, with errors that name line, field, value and fix.

Invariant: either the whole configuration is valid, or one ConfigError lists what is not.
This module does not know presets, prices or models.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from turnout.config.checks import problems as problems_in
from turnout.config.places import Places
from turnout.config.schema import Config
from turnout.config.yaml_text import ENV, Lines, parse_yaml
from turnout.core import ConfigError
from turnout.core.nearest import did_you_mean

# How pydantic names the two branches of a price in an error's path.
_PRICE, _UNKNOWN = "PriceSection", "literal['unknown']"
_KEY = "[key]"  # after the path of a key that is itself wrong

# Pydantic's messages in Python's terms, reworded for people who write YAML.
_MAPPING = "give names with values, as in {name: value}"
_MESSAGES = {
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "tuple_type": "give a list, as in [one, two]",
    "string_type": "give text; quotes make it text",
    "string_too_short": "is empty; give it a value, or leave it out",
    "too_short": "is empty; give at least one",
}

# The settings in which a dollar sign is ordinary text.
_FREE_TEXTS = frozenset(
    {"refusal", "description", "examples", "keywords", "pattern", "tags", "schema"}
)


def environ_or_own(environ: Mapping[str, str] | None) -> Mapping[str, str]:
    """The variables given, else the process's own.

    As a default they would be part of the signature, and ``help()`` would print every key.
    """
    return os.environ if environ is None else environ


def config_path(given: Path | None, environ: Mapping[str, str] | None = None) -> Path | None:
    """The file to read: the one given, else ``$TURNOUT_CONFIG``, else ``./turnout.yaml``."""
    named = given or environ_or_own(environ).get("TURNOUT_CONFIG")
    if named:
        return Path(named)
    here = Path("turnout.yaml")
    return here if here.exists() else None


def load(given: Path | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration in the file to read, else the shipped recipe. Raises ConfigError."""
    path = config_path(given, environ)
    if path is not None:
        return load_file(path, environ)
    return load_text(recipe(), environ)


def recipe() -> str:
    """The shipped configuration, as YAML."""
    return files("turnout.config").joinpath("recipe.yaml").read_text(encoding="utf-8")


def load_file(path: Path, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration in ``path``. Raises ConfigError with one line per problem."""
    text = read_text(path, "; write one or run without --config")
    return load_text(text, environ, name=str(path))


def read_text(path: Path, if_missing: str = "") -> str:
    """The file's text. Raises ConfigError, which ends with ``if_missing`` for no such file."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file{if_missing}") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read as text in UTF-8 ({error})") from error


def load_text(
    text: str, environ: Mapping[str, str] | None = None, *, name: str = "turnout.yaml"
) -> Config:
    """The configuration in ``text``; a pasted ``MODEL_MAP = {...}`` is one too."""
    data, lines = parse_yaml(text, name)
    return load_mapping(data, environ, name=name, lines=lines)


def load_mapping(
    data: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    *,
    name: str = "configuration",
    lines: Lines | None = None,
) -> Config:
    """The configuration in ``data``, with ``${NAME}`` replaced from ``environ``.

    Raises ConfigError with one line per problem.
    """
    places = Places(name, lines or {})
    try:
        resolved = _resolve(dict(data), environ_or_own(environ), (), places)
        config = Config.model_validate(resolved, context=places)
    except ValidationError as error:
        problems = [_explain(e, places) for e in _relevant_errors(error.errors())]
        raise ConfigError("\n".join(dict.fromkeys(problems))) from error
    for path, problem in problems_in(config):
        raise ConfigError(f"{config.at(*path)} {problem}")
    return config


def first_problem(error: ValidationError) -> tuple[str, str]:
    """The first wrong field of a single section (empty: the whole section), and the error."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    return ".".join(path), _description(first, path)


def digest(config: Config) -> str:
    """The hash of the settings that a decision depends on, without secrets and budgets."""
    text = json.dumps(public_settings(config), sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def public_settings(config: Config) -> dict[str, Any]:
    """The part of a configuration that may be shown: all but secrets and what decides nothing."""
    return config.model_dump(
        mode="json",
        exclude={
            "providers": {"__all__": {"api_key", "headers"}},
            "models": {"__all__": {"deployments": {"__all__": {"api_key"}}}},
            "ledger": True,
            "timeouts": {"hold_s"},
            "telemetry": True,
            "serve": True,
            "budgets": True,
            "cache": True,
        },
    )


def _resolve(value: Any, environ: Mapping[str, str], path: tuple[str, ...], places: Places) -> Any:
    if isinstance(value, dict):
        return {k: _resolve(v, environ, (*path, str(k)), places) for k, v in value.items()}
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, list):
        return [_resolve(v, environ, (*path, str(i)), places) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value
    for variable in ENV.findall(value):
        if not environ.get(variable):
            raise ConfigError(
                f"{places.at(*path)} environment variable {variable} is not set; export it"
            )
    if not _FREE_TEXTS.intersection(path):
        rest = ENV.sub("", value)
        if "${" in rest or (_is_secret(path) and rest.startswith("$")):
            raise ConfigError(
                f"{places.at(*path)} holds a '$' that names no variable; "
                'write "${NAME}", of letters, digits and _'
            )
    return ENV.sub(lambda match: environ[match[1]], value)


def _relevant_errors(errors: Sequence[Any]) -> list[Any]:
    """The errors without those of a union's other branches, which were clearly not meant."""
    inside = any(_PRICE in e["loc"] and e["type"] != "model_type" for e in errors)
    other = _UNKNOWN if inside else _PRICE
    return [e for e in errors if other not in e["loc"]]


def _explain(error: Any, places: Places) -> str:
    path = tuple(str(part) for part in error["loc"] if part not in (_PRICE, _UNKNOWN, _KEY))
    at = places.at(*path)
    if error["type"] == "extra_forbidden":
        return f"{at} unknown key {path[-1]!r}; {_did_you_mean(path)}"
    return f"{at} {_description(error, path)}"


def _description(error: Any, path: Sequence[str]) -> str:
    """The error about a value; the value is shown unless it is a secret."""
    if error["type"] == "extra_forbidden":
        return f"unknown key {path[-1]!r}"
    if error["type"] == "missing":
        return f"is missing; add {path[-1]}"
    value = error["input"]
    if value is None:
        return "is empty; give it a value, or leave it out"
    hidden = isinstance(value, dict | list) or _is_secret(path) or "@" in str(value)
    shown = "" if hidden else f"{value!r}: "
    message = _MESSAGES.get(error["type"]) or _lower_first(
        error["msg"].removeprefix("Value error, ")
    )
    if error["type"] == "string_pattern_mismatch" and _is_secret(path):
        message = "holds what no header may; look for line breaks, blanks in names, odd signs"
    if _UNKNOWN in error["loc"]:
        message = "is no price; give {input: USD, output: USD} for a million tokens, or unknown"
    return f"{shown}{message}"


def _is_secret(path: Sequence[str]) -> bool:
    return "api_key" in path or "headers" in path


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _did_you_mean(path: tuple[str, ...]) -> str:
    if path in {("MODEL_MAP",), ("routes",)}:
        return "it is another name for intents; keep one of them"
    known = list(_fields_at(Config, path[:-1]))
    return did_you_mean(path[-1], sorted(known))


def _fields_at(section: type[BaseModel], path: tuple[str, ...]) -> Iterator[str]:
    for part in path:
        field = section.model_fields.get(part)
        if field is not None:
            section = next(_sections_in(field.annotation), section)
    for key, field in section.model_fields.items():
        yield field.alias or key


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _sections_in(inner)
