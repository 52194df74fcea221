"""Marks signatures of thoughts with their model, and with the thought's length and place.

Invariant: only the model that signed a thought gets it back; another one would refuse the request.
The mark is part of the signature, so nothing is stored between requests. The lengths and places
allow joined thoughts to be split again. A redacted thought has no text, and so no length.
This module does not know where in a body they stand.
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
    """A thought of an answer; ``at`` is the number of characters of the answer's text before it.

    A redacted thought has only its ``signature``.
    """

    text: str
    signature: str
    at: int = 0
    redacted: bool = False


def mark_of(deployment: Deployment) -> str:
    """The mark of a model at a provider."""
    provider = deployment.provider
    origin = f"{provider.name}\n{provider.base_url}\n{deployment.model}"
    return hashlib.sha256(origin.encode()).hexdigest()[:12]


def marked_redacted(data: str, mark: str, at: int = 0) -> str:
    """The data of a redacted thought, with the mark; empty without data."""
    return f"tn{mark}-{_REDACTED}{_place(at)}.{data}" if data else ""


def signer_of(body: Body, deployments: Mapping[str, Deployment]) -> str | None:
    """The one of ``deployments`` that signed the latest thought in a conversation, if any did."""
    marks = {mark_of(deployment): ident for ident, deployment in deployments.items()}
    for text in reversed(strings(body.get("messages") or ())):
        match = _MARKED.match(text)
        if match is not None and match[1] in marks:
            return marks[match[1]]
    return None


def bare_mark(mark: str, length: int, at: int = 0) -> str:
    """The mark alone, for the thought of a model that gives no signatures.

    The thought has ``length`` characters; ``at`` characters of the answer's text came before it.
    """
    return f"tn{mark}-{length}{_place(at)}."


def marked(signature: str, mark: str, length: int, at: int = 0) -> str:
    """The signature with its mark, in which ``length`` and ``at`` are as in ``bare_mark``."""
    return bare_mark(mark, length, at) + signature


def unmarked(signature: object, mark: str, *, trust: bool) -> str | None:
    """The signature for the model with this mark; None if it is another model's.

    ``trust`` accepts a signature without a mark: the caller chose the model and knows its origin.
    """
    if not isinstance(signature, str) or not signature:
        return None
    match = _MARKED.fullmatch(signature)
    if match is None:
        return signature if trust else None
    return match[4] if match[1] == mark else None


def split_thoughts(thoughts: str, signatures: object, mark: str) -> list[Thought]:
    """Splits joined thoughts of the model with this mark, each with its signature.

    Empty if one of them is another model's, or if their lengths do not match the signatures.
    """
    found = _JOINED.findall(signatures) if isinstance(signatures, str) else []
    if not found or any(signer != mark for signer, *_ in found):
        return []
    lengths = [int(length) if length.isdecimal() else 0 for _, length, *_ in found]
    if len(found) == 1 and found[0][1] != _REDACTED:
        lengths = [len(thoughts)]
    ends = list(accumulate(lengths))
    if ends[-1] != len(thoughts):
        return []
    return [
        Thought(thoughts[start:end], signature, int(at or 0), length == _REDACTED)
        for start, end, (_, length, at, signature, *_) in zip((0, *ends), ends, found, strict=False)
    ]


def _place(at: int) -> str:
    return f"@{at}" if at else ""
