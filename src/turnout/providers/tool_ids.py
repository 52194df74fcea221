"""Changes ids of tool calls and users into a form that the provider takes.

Invariant: the new id depends on the old one alone, so a call and its result stay together, and two
ids never become one. This module does not know bodies.
"""

import base64
import hashlib
import re

_PLAIN = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
# 40 is the longest id that OpenAI takes; Anthropic takes letters, digits, _ and - of any length.
_LONGEST = 40
_LONGEST_USER = 64
# Mistral takes only these (mistralai.github.io/mistral-common/usage/tools).
_NINE = re.compile(r"[A-Za-z0-9]{9}", re.ASCII)


def portable(ident: str) -> str:
    """``ident`` itself if most providers take it, else a prefix and 128 bits of its SHA-256."""
    if len(ident) <= _LONGEST and _PLAIN.fullmatch(ident) and not ident.startswith("tnid_"):
        return ident
    return "tnid_" + hashlib.sha256(ident.encode("utf-8", "replace")).hexdigest()[:32]


def nine_characters(ident: str) -> str:
    """``ident`` itself if it is nine letters and digits, else 45 bits of its SHA-256 as such.

    Of a thousand ids two become one in one of 70 million conversations.
    """
    if _NINE.fullmatch(ident):
        return ident
    digest = hashlib.sha256(ident.encode("utf-8", "replace")).digest()
    return base64.b32encode(digest)[:9].decode()


def opaque_user(user: object) -> object:
    """The id of a user, or its SHA-256 if it is longer than 64 characters, OpenAI's limit."""
    if not isinstance(user, str) or len(user) <= _LONGEST_USER:
        return user
    return hashlib.sha256(user.encode("utf-8", "replace")).hexdigest()
