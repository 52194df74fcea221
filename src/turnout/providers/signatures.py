"""Signatures of thinking, marked with the model that gave them and the length of the thought.

Invariant: only the model that signed a thought gets it back; another one would refuse the request.
The mark travels with the signature, so nothing has to be remembered between requests; with the
lengths an answer's thoughts come apart again where a dialect has joined them.
This module does not know bodies.
"""

import hashlib
import re
from collections.abc import Mapping
from itertools import accumulate

from turnout.catalog import Deployment
from turnout.core import Body, strings

_MARK = r"tn([0-9a-f]{12})(?:-(\d{1,9}))?\."
_MARKED = re.compile(rf"{_MARK}(.*)", re.DOTALL)
_JOINED = re.compile(rf"{_MARK}(.*?)(?={_MARK}|\Z)", re.DOTALL)


def mark_of(deployment: Deployment) -> str:
    """The mark of a model at a provider, which is one account there."""
    provider = deployment.provider
    origin = f"{provider.name}\n{provider.base_url}\n{deployment.model}"
    return hashlib.sha256(origin.encode()).hexdigest()[:12]


def marked(signature: str, mark: str, length: int) -> str:
    """The signature of a thought of ``length`` characters as callers see it; none stays none."""
    return f"tn{mark}-{length}.{signature}" if signature else ""


def signer_of(body: Body, deployments: Mapping[str, Deployment]) -> str | None:
    """The deployment that signed the latest thought in a conversation, if it is one of these."""
    marks = {mark_of(deployment): ident for ident, deployment in deployments.items()}
    for text in reversed(strings(body.get("messages") or ())):
        match = _MARKED.match(text)
        if match is not None and match[1] in marks:
            return marks[match[1]]
    return None


def unsigned(mark: str, length: int) -> str:
    """What stands for a signature where a model gives none, so that its thought finds back."""
    return f"tn{mark}-{length}."


def told(signature: str, mark: str, length: int) -> str:
    """What a caller sees as the signature of a thought, also where the model gave an empty one."""
    return marked(signature, mark, length) or unsigned(mark, length)


def unmarked(signature: object, mark: str, *, trust: bool) -> str | None:
    """The signature for the model with this mark, or None when it is another's.

    ``trust`` lets one without a mark pass: the caller chose the model and knows where it is from.
    """
    if not isinstance(signature, str) or not signature:
        return None
    match = _MARKED.fullmatch(signature)
    if match is None:
        return signature if trust else None
    return match[3] if match[1] == mark else None


def apart(thoughts: str, signatures: object, mark: str) -> list[tuple[str, str]]:
    """Thoughts that were joined, each with the signature that the model with this mark gave it.

    None where one is another model's, or where they no longer have the lengths that were signed.
    """
    found = _JOINED.findall(signatures) if isinstance(signatures, str) else []
    if not found or any(signer != mark for signer, *_ in found):
        return []
    if len(found) == 1:
        return [(thoughts, found[0][2])]
    ends = list(accumulate(int(length or 0) for _, length, *_ in found))
    if ends[-1] != len(thoughts):
        return []
    starts = (0, *ends)
    return [(thoughts[a:b], s[2]) for a, b, s in zip(starts, ends, found, strict=False)]
