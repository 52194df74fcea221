"""Signatures of thinking, marked with the model that gave them.

Invariant: only the model that signed a thought gets it back; another one would refuse the request.
The mark travels with the signature, so nothing has to be remembered between requests.
This module does not know bodies.
"""

import hashlib
import re
from collections.abc import Mapping

from turnout.catalog import Deployment
from turnout.core import Body, strings

_MARKED = re.compile(r"tn([0-9a-f]{12})\.(.*)", re.DOTALL)


def mark_of(deployment: Deployment) -> str:
    """The mark of a model at a provider, which is one account there."""
    provider = deployment.provider
    origin = f"{provider.name}\n{provider.base_url}\n{deployment.model}"
    return hashlib.sha256(origin.encode()).hexdigest()[:12]


def marked(signature: str, mark: str) -> str:
    """The signature as callers see it; an empty one stays empty."""
    return f"tn{mark}.{signature}" if signature else ""


def signer_of(body: Body, deployments: Mapping[str, Deployment]) -> str | None:
    """The deployment that signed the latest thought in a conversation, if it is one of these."""
    marks = {mark_of(deployment): ident for ident, deployment in deployments.items()}
    for text in reversed(strings(body.get("messages") or ())):
        match = _MARKED.match(text)
        if match is not None and match[1] in marks:
            return marks[match[1]]
    return None


def unmarked(signature: object, mark: str, *, trust: bool) -> str | None:
    """The signature for the model with this mark, or None when it is another's.

    ``trust`` lets one without a mark pass: the caller chose the model and knows where it is from.
    """
    if not isinstance(signature, str) or not signature:
        return None
    match = _MARKED.fullmatch(signature)
    if match is None:
        return signature if trust else None
    return match[2] if match[1] == mark else None
