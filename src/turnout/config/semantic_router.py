"""Routes of aurelio's semantic-router as the user's own intents.

Invariant: settings without a counterpart are named in ``left_out``, never dropped silently. Facts
about the file are from docs.aurelio.ai/semantic-router (guides, save and load from file). This
module reads no file, makes no calls, and chooses no model.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain, count
from typing import Any

from turnout.config.checks import (
    MAX_EXAMPLES,
    MIN_EXAMPLES,
    RESERVED_LABELS,
    normalized_example,
    normalized_label,
)
from turnout.config.imported import Imported
from turnout.config.schema import BLOCK
from turnout.core import UNSAFE, ConfigError
from turnout.core.plural import many

# Settings without a meaning for another encoder.
_ENCODER = ("encoder", "encoder_type", "encoder_name", "sparse_encoder", "index", "calibration")
_THRESHOLDS = ("score_threshold", "confidence_threshold")
_READ = ("name", "utterances", "description", *_THRESHOLDS)
_LONGEST = 64
_NOTHING: tuple[Any, ...] = (None, "", {}, [])


def import_config(
    document: Mapping[str, Any], name: str, base: Mapping[str, Any], known: Collection[str]
) -> Imported:
    """The ``base`` settings with an intent for each route, answered by the default model.

    ``known`` are the labels that need no examples. Raises ConfigError if there is no route that
    can be learned here.
    """
    routes = document.get("routes")
    if not isinstance(routes, list) or not routes:
        raise ConfigError(f"{name}: no routes; give the file that to_json or to_yaml wrote")
    result = Imported(settings={**base, "intents": {}})
    taken = {
        *map(normalized_label, known),
        *map(normalized_label, base["models"]),
        *RESERVED_LABELS,
    }
    seen: dict[str, str] = {}
    for number, route in enumerate(routes):
        where = f"routes[{number}]"
        if not isinstance(route, dict) or not route.get("name"):
            raise ConfigError(f"{name}: {where} needs a name, and utterances")
        _add_intent(result, where, route, taken, seen)
    intents = result.settings["intents"]
    if not intents:
        raise ConfigError(
            "\n".join([f"{name}: no route that can be learned here", *result.left_out])
        )
    result.left_out += _shared_notes(document, routes)
    result.left_out.append(
        f"{', '.join(intents)}: answered by {base['default']}, the default, as no route names a "
        "model; name one for each"
    )
    intents[UNSAFE] = BLOCK
    return result


def _add_intent(
    result: Imported, where: str, route: Mapping[str, Any], taken: set[str], seen: dict[str, str]
) -> None:
    """One route as an intent; adds its examples to ``seen`` and its label to ``taken``."""
    route_name = str(route["name"])
    examples = list(_examples(result, route_name, route.get("utterances"), seen))
    if len(examples) < MIN_EXAMPLES:
        result.left_out.append(
            f"{where}: {route_name} has {many(len(examples), 'utterance')} to learn from; at least "
            f"{MIN_EXAMPLES} are needed"
        )
        return
    if len(examples) > MAX_EXAMPLES:
        result.left_out.append(
            f"{where}: {route_name}: the first {MAX_EXAMPLES} utterances are kept"
        )
    label = _label(route_name, taken)
    taken.add(normalized_label(label))
    if label != route_name:
        result.left_out.append(f"{where}: {route_name} is called {label} here")
    stated = {key: value for key, value in route.items() if value not in _NOTHING}
    result.note_unread(where, stated, _READ)
    described = {"description": stated["description"]} if "description" in stated else {}
    result.settings["intents"][label] = {
        "model": result.settings["default"],
        **described,
        "examples": examples[:MAX_EXAMPLES],
    }


def _examples(result: Imported, route: str, utterances: Any, seen: dict[str, str]) -> Iterator[str]:
    """The texts among the utterances, each once in the whole file."""
    for one in utterances if isinstance(utterances, list) else ():
        text = normalized_example(one) if isinstance(one, str) else ""
        if not text:
            result.left_out.append(f"{route}: an utterance that is no text")
        elif text not in seen:
            seen[text] = route
            yield one
        elif seen[text] != route:
            result.left_out.append(f"{route}: {one!r} is one of {seen[text]}'s, too")


def _label(name: str, taken: Collection[str]) -> str:
    """The name in the characters of a label, with an ending if it is taken."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_")
    if not re.match(r"[A-Za-z]", plain):
        plain = f"route_{plain}".strip("_")
    endings = chain(("", "_route"), (f"_route{number}" for number in count(2)))
    labels = (plain[: _LONGEST - len(ending)] + ending for ending in endings)
    return next(label for label in labels if normalized_label(label) not in taken)


def _shared_notes(
    document: Mapping[str, Any], routes: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """A line about the file's settings for all routes, and about its similarity thresholds."""
    encoders = [key for key in _ENCODER if document.get(key)]
    if encoders:
        yield f"{', '.join(encoders)}: not needed: prompts are read by Turnout's own encoder"
    names = [str(route["name"]) for route in routes if any(map(route.get, _THRESHOLDS))]
    if names or any(map(document.get, _THRESHOLDS)):
        whose = f" of {', '.join(names)}" if names else ""
        yield (
            f"thresholds{whose}: likeness to that encoder means nothing to another; each intent's "
            "is worked out from its examples"
        )
    for key in sorted(set(document) - {"routes", "router_type", *_ENCODER, *_THRESHOLDS}):
        if document[key] not in _NOTHING:
            yield f"{key}: is not carried over"
