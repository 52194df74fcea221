"""Leaves settings out of a request that a model refuses and that only tune its answer.

Models differ in what they take: newer ones of OpenAI and Anthropic refuse any temperature but the
default, others an effort together with tools, and some every unknown field. This changes with each
release, so it is read from their refusals and not from a list of models. In place of an effort that
a model lacks it is asked for the nearest that it has.
Invariant: messages, tools, formats, caps and stops are never left out.
This module does not know statuses or connections.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from msgspec import structs

from turnout.core import Request
from turnout.core.effort import NEAREST
from turnout.core.lost_fields import CACHE_MARK
from turnout.providers.lost_fields import without_marks

_EFFORT = "reasoning_effort"
# The settings, each with the fields that are left out with it, in any API.
_TUNING: Mapping[str, tuple[str, ...]] = {
    **{
        name: (name,)
        for name in (
            "temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty",
            "repetition_penalty", "seed", "verbosity", _EFFORT,
            # For the provider's accounts and caches, not for the model.
            "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key",
            "prompt_cache_retention", "context_management", "include", "summary", CACHE_MARK,
        )
    },
    "thinking": ("thinking", _EFFORT),
}  # fmt: skip
# Settings that the codec of Responses adds: thoughts to give back, and to show.
_ADDED = frozenset({"include", "summary"})
# Settings of which a model may take one value and refuse another.
_WORDS = frozenset({_EFFORT, "verbosity", "service_tier"})
# How errors and other APIs call the effort, and in which of their fields these APIs have it.
_OWN_EFFORT = re.compile(r"\b(?:reasoning|output_config)\.effort\b|\breasoningeffort\b")
_EFFORT_PLACES = ("reasoning", "output_config")
# Names that also occur as common words in errors.
_COMMON = frozenset({"user", "metadata", "store", *_ADDED})


def _any_of(names: Collection[str]) -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(names)})\b")


_BLAMED, _NAMED = _any_of(_TUNING), _any_of(_TUNING.keys() - _COMMON)
# A value out of range is the caller's mistake, and is not matched.
_NOT_TAKEN = re.compile(
    r"unsupported|not support|deprecated|not (?:be )?(?:permitted|allowed|accepted|specified)"
    r"|unrecogni[sz]ed|unknown|unexpected|extra (?:inputs|fields)|cannot both|may only be"
    r"|only the default|must be verified to"
)
_OTHER_WORDS = re.compile(r"must be one of|should be ['\"`]|invalid value")


def refused_setting(message: str, param: str = "") -> str | None:
    """The setting that the model does not take, as its provider's error says; None if none.

    ``param`` is the field that the provider blames, written in any form.
    """
    text, param = (_OWN_EFFORT.sub(_EFFORT, words.lower()) for words in (message, param))
    found = _BLAMED.search(param) if param else _NAMED.search(text)
    if found is None:
        return None
    refused = _NOT_TAKEN.search(text) or (found[1] in _WORDS and _OTHER_WORDS.search(text))
    return found[1] if refused else None


# A refused setting; with its value if only that value was refused.
Refused = tuple[str, str | None]


def as_refused(request: Request, setting: str) -> Refused:
    """The refusal to remember when the model does not take this setting of the request."""
    value = _asked(request).get(setting) if setting in _WORDS else None
    return setting, None if value is None else str(value)


def among(request: Request, refused: Collection[Refused]) -> list[str]:
    """The settings of the request that were refused before."""
    asked = _asked(request)
    named = {
        name
        for name, _ in refused
        if (name in _ADDED and name not in request.left_out)
        or any(field in asked for field in _TUNING[name])
        or (name == CACHE_MARK and without_marks(dict(request.body)))
    }
    return sorted(name for name in named if as_refused(request, name) in refused)


def added(request: Request, setting: str) -> bool:
    """Whether a codec added this setting, so that the caller does not miss it.

    The efforts of Messages are those of Claudes: other models need not know them.
    """
    if setting == _EFFORT:
        return request.dialect == "messages"
    if request.dialect == "responses":
        return setting == "include" and not _asked(request).get("include")
    return setting in _ADDED


def without(
    request: Request, settings: Collection[str], refused: Collection[Refused] = ()
) -> Request:
    """The request without these settings, both in ``body`` and in ``native``.

    An effort becomes the nearest one that is not ``refused``, if there is one.
    """
    if _EFFORT in settings and (effort := _nearest_effort(request, refused)) is not None:
        request, settings = _with_effort(request, effort), {*settings} - {_EFFORT}
    fields = {field for name in settings for field in _TUNING[name]}
    native, body = request.native, _without(request.body, fields)
    if CACHE_MARK in settings:
        without_marks(body)
    return structs.replace(
        request,
        body=body,
        native=None if native is None else _without(native, fields),
        left_out=request.left_out.union(settings),
    )


def _nearest_effort(request: Request, refused: Collection[Refused]) -> str | None:
    effort = NEAREST.get(str(request.body.get(_EFFORT)))
    while effort is not None and (_EFFORT, effort) in refused:
        effort = NEAREST.get(effort)
    return effort


def _with_effort(request: Request, effort: str) -> Request:
    native = request.native
    if native is not None:
        native = {
            name: {**value, "effort": effort}
            if name in _EFFORT_PLACES and isinstance(value, Mapping) and "effort" in value
            else value
            for name, value in native.items()
        }
    return structs.replace(request, body={**request.body, _EFFORT: effort}, native=native)


def _asked(request: Request) -> Mapping[str, Any]:
    """All fields of the request, in chat's form and in the caller's."""
    return request.body if request.native is None else {**request.body, **request.native}


def _without(body: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in fields}
