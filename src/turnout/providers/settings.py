"""Settings that only tune an answer, found in a provider's refusal and left out of a request.

Models differ in what they take: newer ones of OpenAI and Anthropic refuse any temperature but
their own, others an effort beside tools, some every field that they do not know. Which ones do
changes with each release, so that it is read from what they say and not from a list of names.
Invariant: what says what is asked (messages, tools, formats, caps, stops) is never left out.
This module does not know statuses or connections.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from msgspec import structs

from turnout.core import Request
from turnout.core.unsaid import CACHE_MARK
from turnout.providers.unsaid import without_marks

# Each with the fields that go with it, in the words of any dialect.
_TUNING: Mapping[str, tuple[str, ...]] = {
    **{
        name: (name,)
        for name in (
            "temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty",
            "repetition_penalty", "seed", "verbosity", "reasoning_effort",
            # For the provider's books and caches, not for the model.
            "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key",
            "prompt_cache_retention", "context_management", "include", "summary", CACHE_MARK,
        )
    },
    "thinking": ("thinking", "reasoning_effort"),
}  # fmt: skip
# What the codec of Responses asks for by itself: thoughts to give back, and to show.
_ADDED = frozenset({"include", "summary"})
# Of these a model may take one word and not another.
_WORDS = frozenset({"reasoning_effort", "verbosity", "service_tier"})
# Words that an error may hold without meaning the field.
_COMMON = frozenset({"user", "metadata", "store", *_ADDED})


def _any_of(names: Collection[str]) -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(names)})\b")


_BLAMED, _NAMED = _any_of(_TUNING), _any_of(_TUNING.keys() - _COMMON)
# A value that is out of range is the caller's mistake, and stays one.
_NOT_TAKEN = re.compile(
    r"unsupported|not support|deprecated|not (?:be )?(?:permitted|allowed|accepted|specified)"
    r"|unrecogni[sz]ed|unknown|unexpected|extra (?:inputs|fields)|cannot both|may only be"
    r"|only the default|must be verified to"
)


def refused_setting(message: str, param: str = "") -> str | None:
    """The setting that an error says the model does not take, if it names one that only tunes.

    ``param`` is the field that the provider blames, in whatever path it writes.
    """
    # Responses says an effort inside of its ``reasoning``.
    text, param = (
        said.lower().replace("reasoning.effort", "reasoning_effort") for said in (message, param)
    )
    if not _NOT_TAKEN.search(text):
        return None
    found = _BLAMED.search(param) if param else _NAMED.search(text)
    return found[1] if found else None


# A setting that was refused, with its value where only that word of it was.
Refused = tuple[str, str | None]


def as_refused(request: Request, setting: str) -> Refused:
    """What is to be remembered when the model does not take this setting of the request."""
    value = _said(request).get(setting) if setting in _WORDS else None
    return setting, None if value is None else str(value)


def among(request: Request, refused: Collection[Refused]) -> list[str]:
    """The settings of the request that were refused before."""
    said = _said(request)
    named = {
        name
        for name, _ in refused
        if (name in _ADDED and name not in request.left_out)
        or any(field in said for field in _TUNING[name])
        or (name == CACHE_MARK and without_marks(dict(request.body)))
    }
    return sorted(name for name in named if as_refused(request, name) in refused)


def added(request: Request, setting: str) -> bool:
    """Whether a codec asks for this by itself, and not the caller, who then cannot miss it."""
    if request.dialect == "responses":
        return setting == "include" and not _said(request).get("include")
    return setting in _ADDED


def without(request: Request, settings: Collection[str]) -> Request:
    """The request without these settings, in both its forms."""
    fields = {field for name in settings for field in _TUNING[name]}
    native, body = request.native, _left(request.body, fields)
    if CACHE_MARK in settings:
        without_marks(body)
    return structs.replace(
        request,
        body=body,
        native=None if native is None else _left(native, fields),
        left_out=request.left_out.union(settings),
    )


def _said(request: Request) -> Mapping[str, Any]:
    """What was asked, in chat's words and in the caller's own."""
    return request.body if request.native is None else {**request.body, **request.native}


def _left(body: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in fields}
