"""What the package imports is what its metadata declares."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import turnout
from turnout.cli.extras import EXTRA_OF

ROOT = Path(turnout.__file__).parent
REPOSITORY = Path(__file__).parents[1]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
PYTHONS = re.findall(r":: (3\.\d+)$", "\n".join(PROJECT["classifiers"]), re.MULTILINE)


def _names(requirements: list[str]) -> set[str]:
    return {_normal(re.split(r"[<>=\[; ]", one)[0]) for one in requirements}


def _normal(name: str) -> str:
    return name.lower().replace("_", "-")


def _imported() -> set[str]:
    found: set[str] = set()
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                found.add((node.module or "").partition(".")[0])
    return found - sys.stdlib_module_names - {"turnout"}


def test_what_is_imported_is_declared() -> None:
    """What only another package's requirements bring is gone when that one changes."""
    extras = PROJECT["optional-dependencies"]
    declared = _names(PROJECT["dependencies"]).union(*map(_names, extras.values()))
    brought_by = packages_distributions()
    undeclared = {
        module
        for module in _imported()
        if not declared & {_normal(name) for name in brought_by[module]}
    }
    assert undeclared == set()


def test_a_missing_module_is_told_by_the_extra_that_brings_it() -> None:
    """The line that installs it must bring it."""
    brought_by, extras = packages_distributions(), PROJECT["optional-dependencies"]
    wrong = [
        module
        for module, extra in EXTRA_OF.items()
        if not _names(extras[extra]) & {_normal(name) for name in brought_by[module]}
    ]
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("version", PYTHONS)
@pytest.mark.parametrize("lock", ["bootstrap", "dev"])
def test_the_lock_can_be_installed_on_every_python_that_is_promised(
    lock: str, version: str, tmp_path: Path
) -> None:
    """Each package has a wheel for it, or is left out there; no such interpreter is needed."""
    uv = [sys.executable, "-m", "uv", "pip", "install", "--dry-run", "--target", str(tmp_path)]
    uv += ["--python-version", version, "--no-build", "--require-hashes", "--no-python-downloads"]
    uv += ["-r", str(REPOSITORY / "requirements" / f"{lock}.lock")]
    done = subprocess.run(uv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
