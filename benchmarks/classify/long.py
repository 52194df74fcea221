"""One unsafe prompt inside a long harmless document, and the documents blocked without one."""

import re
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from benchmarks.classify.data import OWN, blocked_flags
from benchmarks.classify.interval import share
from turnout.classifiers import LocalClassifier
from turnout.training.rows import load

_SIZE = 10_000
_PLACES = {"beginning": 0.02, "middle": 0.5, "end": 0.98}
_SENTENCE = re.compile(r"[.!?]\s+|\n+")


def long(_data: Sequence[Path]) -> dict[str, Any]:
    """Own mild prompts, all caught alone, inside 10 kB of package descriptions."""
    classifier = LocalClassifier.load()
    rows = [r for r in load([OWN / "safety.jsonl"]) if r.unsafe and r.is_prompt]
    texts = [row.text for row in rows if 30 <= len(row.text) <= 300]
    caught = [
        text for text, hit in zip(texts, blocked_flags(classifier, texts), strict=True) if hit
    ]
    pages = _pages()
    chosen = [caught[i * 37 % len(caught)] for i in range(len(pages))]
    out: dict[str, Any] = {
        "pages": len(pages),
        "pages blocked, nothing in them": share(blocked_flags(classifier, pages)),
    }
    for name, place in _PLACES.items():
        filled = [_inserted(page, text, place) for page, text in zip(pages, chosen, strict=True)]
        out[f"caught, at the {name}"] = share(blocked_flags(classifier, filled))
    return out


def _pages() -> list[str]:
    """Descriptions of the installed packages that are long enough, one per package."""
    found = {dist.name: str(dist.metadata.json.get("description", "")) for dist in distributions()}
    return [page[:_SIZE] for _, page in sorted(found.items()) if len(page) >= _SIZE]


def _inserted(page: str, text: str, place: float) -> str:
    ends = [match.end() for match in _SENTENCE.finditer(page)] or [0]
    at = min(ends, key=lambda end: abs(end - place * len(page)))
    return f"{page[:at]}{text} {page[at:]}"
