"""House rules that a look at the source can check: what rooms know, and what is compared."""

import ast
from pathlib import Path

import pytest

import turnout

BANNED = {"time", "random", "secrets", "httpx", "aiohttp", "sqlite3", "apsw", "asyncio", "socket"}
ROOT = Path(turnout.__file__).parent
INNER = [
    path
    for room in ("core", "catalog", "features", "policies", "classifiers", "decision")
    for path in (ROOT / room).rglob("*.py")
]


@pytest.mark.parametrize("path", INNER, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_banned_import(path: Path) -> None:
    """No module from core to decision imports a source of effects."""
    imported: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").split(".")[0])
    assert not imported & BANNED


def test_no_sentence_is_compared() -> None:
    """What is told apart has a kind; words are for people, and may be changed without harm."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare) and any(map(_is_sentence, (node.left, *node.comparators)))
    ]
    assert found == []


def _is_sentence(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip()
    )
