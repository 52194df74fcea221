"""The known name that was probably meant by an unknown one, for messages that suggest it."""

import difflib
from collections.abc import Iterable

# Likeness, from 0 to 1, of a name that is suggested, and of one that is certainly a misspelling
# ("sumarization" has 0.96, "chess" and "chat" have 0.44).
_ALIKE = 0.5
MISSPELLED = 0.8


def nearest(name: str, known: Iterable[str], alike: float = _ALIKE) -> str | None:
    """The name in ``known`` that is most like ``name``, ignoring case; None if none is alike."""
    by_fold = {one.casefold(): one for one in known}
    close = difflib.get_close_matches(name.casefold(), by_fold, n=1, cutoff=alike)
    return by_fold[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x'?``, or the list of all names if none is alike."""
    names = list(known)
    near = nearest(name, names)
    return f"did you mean {near!r}?" if near else f"use one of {', '.join(names)}"
