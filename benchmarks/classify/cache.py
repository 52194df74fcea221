"""Keeps the results of a fold, which take minutes, under the hash of all that they depend on."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]


def cached(name: str, files: Sequence[Path], work: Callable[[], Any]) -> Any:
    """The result of ``work`` on ``files``, or the stored one for the same code and data."""
    digest = hashlib.sha256(f"{name}\n{_code_hash()}".encode())
    for path in files:
        digest.update(_file_hash(path).encode())
    home = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    place = home / "turnout" / "benchmarks" / f"{digest.hexdigest()[:32]}.json"
    if place.exists():
        print(f"  {name}: as found before ({place})", file=sys.stderr, flush=True)
        return json.loads(place.read_text(encoding="utf-8"))
    print(f"  {name} …", file=sys.stderr, flush=True)
    found = work()
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(found), encoding="utf-8")
    return found


@cache
def _file_hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def _code_hash() -> str:
    folders = ("src/turnout/classifiers", "src/turnout/training", "benchmarks/classify")
    files = sorted(path for folder in folders for path in (_ROOT / folder).glob("*.py"))
    return hashlib.sha256("".join(map(_file_hash, files)).encode()).hexdigest()
