"""The version in the name of a Claude model, which tells what the model can do.

Source of the lengths: platform.claude.com/docs/en/about-claude/models/overview, the least of each.
This module does not know requests.
"""

import re
from functools import lru_cache

_VERSION = re.compile(r"claude\D*?(\d{1,2})(?!\d)(?:[-.](\d{1,2})(?!\d))?")

_LONGEST = (((3, 7), 32_000), ((3, 5), 8_192))
_SHORTEST = 4_096


@lru_cache(maxsize=256)
def version(model: str) -> tuple[int, int]:
    """The version, such as (4, 6); (0, 0) for a name without one."""
    found = _VERSION.search(model.lower())
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def longest_answer(model: str) -> int:
    """The longest answer, in tokens, that every model of this version can write."""
    known = version(model)
    return next((tokens for since, tokens in _LONGEST if known >= since), _SHORTEST)
