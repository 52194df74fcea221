"""The known name that is meant where another was given, for messages that suggest it.

This module does not know what the names are for.
"""

import difflib
from collections.abc import Iterable

# Alike enough to be suggested; and as alike as a name and its misspelling ("sumarization" is 0.96,
# "chess" like "chat" 0.44).
_ALIKE = 0.5
MISSPELLED = 0.8


def nearest(name: str, known: Iterable[str], alike: float = _ALIKE) -> str | None:
    """The name of ``known`` that is most like ``name``, case aside; None where none is alike."""
    by_fold = {one.casefold(): one for one in known}
    close = difflib.get_close_matches(name.casefold(), by_fold, n=1, cutoff=alike)
    return by_fold[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?``, or else all the names there are."""
    names = list(known)
    near = nearest(name, names)
    return f"did you mean {near!r}?" if near else f"use one of {', '.join(names)}"
