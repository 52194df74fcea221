"""The readings of a text: raw, unmasked, and decoded where it looks encoded.

Safety scores every reading and the worst counts. Deterministic; at most ``_LIMIT`` readings,
each no longer than about the text itself.
"""

from turnout.classifiers.decoders import ENCODINGS
from turnout.classifiers.glyphs import joined, unmasked

_LIMIT = 6
_LAYERS = 2


def views(text: str) -> tuple[str, ...]:
    """Distinct readings of ``text``, the raw one first."""
    found = {text: None}
    newest = [text]
    plain = joined(unmasked(text))
    if plain != text:
        found[plain] = None
        newest = [plain]
    for _ in range(_LAYERS):
        newest = [new for old in newest for new in _decoded(old) if new not in found]
        if not newest:
            break
        found |= dict.fromkeys(newest)
    return tuple(found)[:_LIMIT]


def _decoded(text: str) -> list[str]:
    return [new for decode in ENCODINGS if (new := decode(text)) is not None and new != text]
