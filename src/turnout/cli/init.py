"""``turnout init``: a first ``turnout.yaml`` from the keys and models found here."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from turnout.catalog import build
from turnout.cli.files import write_whole
from turnout.cli.first_settings import Choice, choose_models, settings_text
from turnout.cli.options import JsonOption, refuse_given
from turnout.cli.providers_here import (
    FoundProvider,
    on_this_machine,
    providers_with_keys,
    with_models,
)
from turnout.cli.show import err, out, print_json
from turnout.config import load_text
from turnout.config.load import recipe
from turnout.config.yaml_text import parse_yaml
from turnout.core import ConfigError
from turnout.providers.weights import bundled

if TYPE_CHECKING:
    from rich.console import Console

_RECIPE = """\
# Written by turnout init, which found no provider's key: the embedded model stands in for all of
# these until RUNCRATE_API_KEY is set. Run turnout init --force again once you have a key.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _FirstConfig:
    """The file's text, and what was found for it; without ``roles`` if it is the recipe."""

    text: str
    found: Sequence[FoundProvider]
    roles: Mapping[str, Choice]


def init(
    context: typer.Context,
    *,
    target: Annotated[Path, typer.Option("--out", help="The file to write.")] = Path(
        "turnout.yaml"
    ),
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask each provider found which models it has.")
    ] = False,
    local: Annotated[
        bool | None,
        typer.Option(
            "--local/--no-local",
            help="Look for Ollama and llama.cpp here; by default only if no key is set.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    print_only: Annotated[
        bool, typer.Option("--print", help="Write to standard output instead.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Write a first turnout.yaml from the keys and models found here.

    Keys are looked for in the environment; a fast model, a strong one and one for code are taken
    from the price book. Nothing is sent from this machine without --ask. Without any key the
    recipe is written, for which the embedded model answers.
    """
    if print_only:
        refuse_given(context, "target", "force", because="--print writes no file; leave one out")
    if not (print_only or force) and target.exists():
        raise ConfigError(f"{target}: is there already; --force replaces it, --print shows another")
    first = _first_config(os.environ, ask=ask, local=local)
    build(load_text(first.text), os.environ)  # a file that cannot be loaded is not written
    if not print_only:
        write_whole(target, first.text.encode())
    if json:
        print_json(_record(first, None if print_only else target))
    elif print_only:
        typer.echo(first.text, nl=False)
        _show(first, err)
    else:
        _show(first, out)
        out.print(f"wrote {target}; next: {_next(first)}")


def first_settings(environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings that would be written here without --ask. Raises ConfigError."""
    return parse_yaml(_first_config(environ, ask=False, local=False).text, "turnout init")[0]


def _first_config(environ: Mapping[str, str], *, ask: bool, local: bool | None) -> _FirstConfig:
    found = providers_with_keys(environ)
    if ask:
        found = with_models(found)
    if local or (local is None and not found):
        local_servers = with_models(on_this_machine(environ))
        found = (
            *found,
            *(candidate for candidate in local_servers if candidate.listed),
        )
    roles = choose_models(found, environ)
    if found and not roles:
        names = ", ".join(candidate.name for candidate in found)
        raise ConfigError(
            f"{names}: lists no model that is known here; name models and their prices yourself, "
            "as docs/configuration.md shows"
        )
    if not roles:
        return _FirstConfig(text=_RECIPE + recipe(), found=found, roles={})
    return _FirstConfig(text=settings_text(roles), found=found, roles=roles)


def _show(first: _FirstConfig, console: "Console") -> None:
    for candidate in first.found:
        console.print(f"found {candidate.name}: {_provider_line(candidate)}")
    for role, choice in first.roles.items():
        console.print(f"{role}: {choice.model} at {choice.found.name}, {choice.cost}")
    if not first.roles:
        console.print(
            "no key of a known provider found: the embedded model answers until there is one"
        )


def _next(first: _FirstConfig) -> str:
    """The commands to run next."""
    if first.roles:
        return "turnout doctor, then turnout serve"
    try:
        bundled()
    except ConfigError:
        return "turnout setup, which brings the embedded model, then turnout demo"
    return "turnout demo, then turnout serve"


def _provider_line(found: FoundProvider) -> str:
    where = found.provider.api_key_env or found.provider.base_url
    if found.problem:
        return f"{where}, which could not be asked: {found.problem}"
    return where if found.listed is None else f"{where}, {len(found.listed)} models"


def _record(first: _FirstConfig, target: Path | None) -> dict[str, Any]:
    return {
        "file": None if target is None else str(target),
        "found": [
            {
                "provider": candidate.name,
                "key": candidate.provider.api_key_env,
                "base_url": candidate.provider.base_url,
                "models": None if candidate.listed is None else len(candidate.listed),
                "problem": candidate.problem,
            }
            for candidate in first.found
        ],
        "roles": {
            role: {
                "provider": choice.found.name,
                "model": choice.model,
                "input_usd_per_mtok": choice.usd_per_mtok[0],
                "output_usd_per_mtok": choice.usd_per_mtok[1],
            }
            for role, choice in first.roles.items()
        },
        "text": first.text,
    }
