"""Routes of aurelio's semantic-router as the user's own intents.

Invariant: settings without a counterpart are named in ``left``, never dropped silently. Facts
about the file are from docs.aurelio.ai/semantic-router (guides, save and load from file). This
module reads no file, makes no calls, and chooses no model.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import chain, count
from typing import Any

from turnout.config.checks import MAX_EXAMPLES, MIN_EXAMPLES, TAKEN, folded, words_of
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


def imported(
    document: Mapping[str, Any], name: str, base: Mapping[str, Any], known: Collection[str]
) -> Imported:
    """The ``base`` settings with an intent for each route, answered by the default model.

    ``known`` are the labels that need no examples. Raises ConfigError if there is no route that
    can be learned here.
    """
    routes = document.get("routes")
    if not isinstance(routes, list) or not routes:
        raise ConfigError(f"{name}: no routes; give the file that to_json or to_yaml wrote")
    done = Imported(settings={**base, "intents": {}})
    taken = {*map(folded, known), *map(folded, base["models"]), *TAKEN}
    heard: dict[str, str] = {}
    for number, route in enumerate(routes):
        where = f"routes[{number}]"
        if not isinstance(route, dict) or not route.get("name"):
            raise ConfigError(f"{name}: {where} needs a name, and utterances")
        _add(done, where, route, taken, heard)
    intents = done.settings["intents"]
    if not intents:
        raise ConfigError("\n".join([f"{name}: no route that can be learned here", *done.left]))
    done.left += _beside(document, routes)
    done.left.append(
        f"{', '.join(intents)}: answered by {base['default']}, the default, as no route names a "
        "model; name one for each"
    )
    intents[UNSAFE] = BLOCK
    return done


def _add(
    done: Imported, where: str, route: Mapping[str, Any], taken: set[str], heard: dict[str, str]
) -> None:
    """One route as an intent; adds its examples to ``heard`` and its label to ``taken``."""
    theirs = str(route["name"])
    examples = list(_examples(done, theirs, route.get("utterances"), heard))
    if len(examples) < MIN_EXAMPLES:
        done.left.append(
            f"{where}: {theirs} has {many(len(examples), 'utterance')} to learn from; at least "
            f"{MIN_EXAMPLES} are needed"
        )
        return
    if len(examples) > MAX_EXAMPLES:
        done.left.append(f"{where}: {theirs}: the first {MAX_EXAMPLES} utterances are kept")
    label = _label(theirs, taken)
    taken.add(folded(label))
    if label != theirs:
        done.left.append(f"{where}: {theirs} is called {label} here")
    said = {key: value for key, value in route.items() if value not in _NOTHING}
    done.leave(where, said, _READ)
    described = {"description": said["description"]} if "description" in said else {}
    done.settings["intents"][label] = {
        "model": done.settings["default"],
        **described,
        "examples": examples[:MAX_EXAMPLES],
    }


def _examples(done: Imported, route: str, utterances: Any, heard: dict[str, str]) -> Iterator[str]:
    """The texts among the utterances, each once in the whole file."""
    for one in utterances if isinstance(utterances, list) else ():
        text = words_of(one) if isinstance(one, str) else ""
        if not text:
            done.left.append(f"{route}: an utterance that is no text")
        elif text not in heard:
            heard[text] = route
            yield one
        elif heard[text] != route:
            done.left.append(f"{route}: {one!r} is one of {heard[text]}'s, too")


def _label(name: str, taken: Collection[str]) -> str:
    """The name in the characters of a label, with an ending if it is taken."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_")
    if not re.match(r"[A-Za-z]", plain):
        plain = f"route_{plain}".strip("_")
    endings = chain(("", "_route"), (f"_route{number}" for number in count(2)))
    labels = (plain[: _LONGEST - len(ending)] + ending for ending in endings)
    return next(label for label in labels if folded(label) not in taken)


def _beside(document: Mapping[str, Any], routes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line about the file's settings for all routes, and about its similarity thresholds."""
    encoders = [key for key in _ENCODER if document.get(key)]
    if encoders:
        yield f"{', '.join(encoders)}: not needed: prompts are read by Turnout's own encoder"
    told = [str(route["name"]) for route in routes if any(map(route.get, _THRESHOLDS))]
    if told or any(map(document.get, _THRESHOLDS)):
        whose = f" of {', '.join(told)}" if told else ""
        yield (
            f"thresholds{whose}: likeness to that encoder means nothing to another; each intent's "
            "is worked out from its examples"
        )
    for key in sorted(set(document) - {"routes", "router_type", *_ENCODER, *_THRESHOLDS}):
        if document[key] not in _NOTHING:
            yield f"{key}: is not carried over"
