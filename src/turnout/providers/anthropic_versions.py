"""The version in a Claude's name, by which it is known what the model understands.

This module does not know requests.
"""

import re
from functools import lru_cache

_VERSION = re.compile(r"claude\D*?(\d{1,2})(?!\d)(?:[-.](\d{1,2})(?!\d))?")


@lru_cache(maxsize=256)
def version(model: str) -> tuple[int, int]:
    """Like (4, 6); (0, 0) for a name that holds none, as of another maker's model."""
    found = _VERSION.search(model.lower())
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)
