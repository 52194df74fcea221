"""Signatures of thinking, marked with the model that gave them, and the thought's length and place.

Invariant: only the model that signed a thought gets it back; another one would refuse the request.
The mark travels with the signature, so nothing has to be remembered between requests; with lengths
and places an answer's thoughts come apart again where a dialect has joined them. A thought that
was redacted has no text of which there could be a length.
This module does not know bodies.
"""

import hashlib
import re
from collections.abc import Mapping
from itertools import accumulate
from typing import NamedTuple

from turnout.catalog import Deployment
from turnout.core import Body, strings

_REDACTED = "r"
_MARK = rf"tn([0-9a-f]{{12}})(?:-(\d{{1,9}}|{_REDACTED}))?(?:@(\d{{1,9}}))?\."
_MARKED = re.compile(rf"{_MARK}(.*)", re.DOTALL)
_JOINED = re.compile(rf"{_MARK}(.*?)(?={_MARK}|\Z)", re.DOTALL)


class Thought(NamedTuple):
    """A thought of an answer: ``at`` is how much of the answer's text came before it.

    Of one that was redacted there is its ``signature`` alone.
    """

    text: str
    signature: str
    at: int = 0
    redacted: bool = False


def mark_of(deployment: Deployment) -> str:
    """The mark of a model at a provider, which is one account there."""
    provider = deployment.provider
    origin = f"{provider.name}\n{provider.base_url}\n{deployment.model}"
    return hashlib.sha256(origin.encode()).hexdigest()[:12]


def redacted(data: str, mark: str, at: int = 0) -> str:
    """What there is of a thought that was redacted, as callers see it."""
    return f"tn{mark}-{_REDACTED}{_place(at)}.{data}" if data else ""


def signer_of(body: Body, deployments: Mapping[str, Deployment]) -> str | None:
    """The deployment that signed the latest thought in a conversation, if it is one of these."""
    marks = {mark_of(deployment): ident for ident, deployment in deployments.items()}
    for text in reversed(strings(body.get("messages") or ())):
        match = _MARKED.match(text)
        if match is not None and match[1] in marks:
            return marks[match[1]]
    return None


def unsigned(mark: str, length: int, at: int = 0) -> str:
    """What stands for a signature where a model gives none, so that its thought finds back."""
    return f"tn{mark}-{length}{_place(at)}."


def told(signature: str, mark: str, length: int, at: int = 0) -> str:
    """The signature of a thought of ``length`` characters as callers see it, also an empty one.

    ``at`` is how many characters of the answer's text came before the thought.
    """
    return unsigned(mark, length, at) + signature


def unmarked(signature: object, mark: str, *, trust: bool) -> str | None:
    """The signature for the model with this mark, or None when it is another's.

    ``trust`` lets one without a mark pass: the caller chose the model and knows where it is from.
    """
    if not isinstance(signature, str) or not signature:
        return None
    match = _MARKED.fullmatch(signature)
    if match is None:
        return signature if trust else None
    return match[4] if match[1] == mark else None


def apart(thoughts: str, signatures: object, mark: str) -> list[Thought]:
    """Thoughts that were joined, each with the signature that the model with this mark gave it.

    None where one is another model's, or where they no longer have the lengths that were signed.
    """
    found = _JOINED.findall(signatures) if isinstance(signatures, str) else []
    if not found or any(signer != mark for signer, *_ in found):
        return []
    lengths = [int(told) if told.isdecimal() else 0 for _, told, *_ in found]
    if len(found) == 1 and found[0][1] != _REDACTED:
        lengths = [len(thoughts)]
    ends = list(accumulate(lengths))
    if ends[-1] != len(thoughts):
        return []
    return [
        Thought(thoughts[start:end], signature, int(at or 0), told == _REDACTED)
        for start, end, (_, told, at, signature, *_) in zip((0, *ends), ends, found, strict=False)
    ]


def _place(at: int) -> str:
    return f"@{at}" if at else ""
