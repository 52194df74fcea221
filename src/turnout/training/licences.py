"""Which rows a shipped artefact may be trained on.

Share-alike, research-only, GPT-written and scraped texts are left out, whatever their
repository's own licence says.
"""

import re

from turnout.training.rows import Row

_ALLOWED = re.compile(r"^(?:MIT|Apache|BSD|CC-BY-\d|CC0|own\b)", re.IGNORECASE)
_REFUSED = re.compile(r"-SA\b|-NC\b|research|GPT|users|scraped", re.IGNORECASE)
# Written by ChatGPT; collected from chat rooms and forums.
_REFUSED_SOURCES = frozenset({"harmfulqa", "inthewild_jailbreaks"})


def is_permissive(row: Row) -> bool:
    """Whether an artefact that is given away may be trained on the row."""
    licence = row.licence
    return (
        row.source not in _REFUSED_SOURCES
        and _ALLOWED.search(licence) is not None
        and _REFUSED.search(licence) is None
    )
