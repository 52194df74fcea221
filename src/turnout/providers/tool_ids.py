"""Ids of tool calls and of users in the form that a provider takes.

Invariant: the mapping is a function of the id alone, so a call and its result stay together, and
two ids never become one. This module does not know bodies.
"""

import hashlib
import re

_PLAIN = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
# 40 is the longest id that OpenAI takes; Anthropic takes letters, digits, _ and - of any length.
_LONGEST = 40
_LONGEST_USER = 64


def portable(ident: str) -> str:
    """``ident`` itself where every provider takes it, else an id that stands for it.

    A stand-in carries 128 bits of the id's SHA-256 behind a prefix.
    """
    if len(ident) <= _LONGEST and _PLAIN.fullmatch(ident) and not ident.startswith("tnid_"):
        return ident
    return "tnid_" + hashlib.sha256(ident.encode("utf-8", "replace")).hexdigest()[:32]


def opaque_user(user: object) -> object:
    """Who asks, in an id of at most 64 characters, the most that OpenAI takes: else its SHA-256."""
    if not isinstance(user, str) or len(user) <= _LONGEST_USER:
        return user
    return hashlib.sha256(user.encode("utf-8", "replace")).hexdigest()
