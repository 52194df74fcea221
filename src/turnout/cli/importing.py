"""``turnout import``: another tool's configuration as a ``turnout.yaml``."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import yaml

from turnout.catalog import build
from turnout.cli.files import write_whole
from turnout.cli.init import first_settings
from turnout.cli.show import err
from turnout.config import litellm, load_mapping, semantic_router
from turnout.config.imported import Imported
from turnout.config.load import read_text
from turnout.config.yaml_text import parse_yaml
from turnout.core import ConfigError


def import_(
    kind: Annotated[
        Literal["litellm", "semantic-router"],
        typer.Argument(help="The program whose configuration it is."),
    ],
    path: Annotated[Path, typer.Argument(help="Its file.")],
    *,
    to: Annotated[
        Path | None, typer.Option("--out", help="A new file; by default standard output.")
    ] = None,
) -> None:
    """Write another tool's configuration as a turnout.yaml.

    FILE is a LiteLLM proxy's configuration, or the routes of aurelio's semantic-router. Routes
    name no models, so that these are chosen as turnout init does. Settings without a counterpart
    are listed on standard error.
    """
    if to is not None and to.exists():
        raise ConfigError(f"{to}: is there already; name a new file")
    found = (_of_litellm if kind == "litellm" else _of_semantic_router)(read_text(path), str(path))
    text = yaml.safe_dump(found.settings, sort_keys=False, allow_unicode=True, width=100)
    load_mapping(found.settings, _AnyVariable(), name="the result")
    for line in found.left_out:
        err.print(line, style="dim")
    if to is None:
        typer.echo(text, nl=False)
    else:
        write_whole(to, text.encode())


def _of_litellm(text: str, name: str) -> Imported:
    found = litellm.import_config(parse_yaml(text, name)[0], name)
    _mark_unpriced(found)
    return found


def _of_semantic_router(text: str, name: str) -> Imported:
    from turnout.classifiers import LocalClassifier

    try:
        document = json.loads(text)  # YAML would read the two halves of an escaped character as two
    except ValueError:
        document = parse_yaml(text, name)[0]
    routes = {"routes": document} if isinstance(document, list) else document
    base = first_settings(os.environ)
    return semantic_router.import_config(routes, name, base, LocalClassifier.load(None).intents)


def _mark_unpriced(found: Imported) -> None:
    """Marks deployments without a known price as such; otherwise the file would be refused."""
    providers = found.settings.get("providers", {})
    for name, model in found.settings["models"].items():
        for deployment in model.get("deployments", [model]):
            model_only = {"model": deployment["model"], "provider": deployment["provider"]}
            if "price" in deployment or _is_priced(providers, model_only):
                continue
            deployment["price"] = "unknown"
            found.left_out.append(f"{name}: no price is known for {deployment['model']}; add it")


def _is_priced(providers: Mapping[str, Any], model: Mapping[str, Any]) -> bool:
    settings = {"providers": providers, "models": {"one": model}, "default": "one"}
    try:
        build(load_mapping(settings, _AnyVariable()), _AnyVariable())
    except ConfigError:
        return False
    return True


class _AnyVariable(Mapping[str, str]):
    """An environment in which every variable is set, as they may be where the file is used."""

    def __getitem__(self, name: str) -> str:
        return "set"

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0
