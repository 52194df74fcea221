"""The table of commands, and the place where errors become one line and an exit code."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any, NoReturn

import typer

from turnout import __version__
from turnout.cli.extras import missing_extra
from turnout.cli.list_options import ListOptionsCommand
from turnout.core import ConfigError, LedgerError, RequestError, RouterError

_EXIT_CODES: tuple[tuple[type[RouterError] | tuple[type[RouterError], ...], int], ...] = (
    (ConfigError, 2),
    ((RequestError, LedgerError), 3),
    (RouterError, 4),
)

# Where each command is defined, and an example. Only the called one is imported, to start quickly.
COMMANDS = {
    "demo": ("demo:demo", "turnout demo 'What is a closure?' 'Write a haiku'"),
    "init": ("init:init", "turnout init --print"),
    "ask": ("ask:ask", "turnout ask --explain 'What is the capital of Japan?'"),
    "route": ("ask:route", "turnout route --json 'Write a CSV parser in Python'"),
    "classify": ("classify:classify", "turnout classify --in prompts.jsonl --out labels.jsonl"),
    "compare": ("compare:compare", "turnout compare prompts.jsonl --output-tokens 300"),
    "serve": ("serve:serve", "turnout serve --config turnout.yaml --workers 2"),
    "code": ("code:code", "turnout code claude"),
    "import": ("importing:import_", "turnout import litellm config.yaml --out turnout.yaml"),
    "setup": ("setup:setup", "turnout setup --path mine.gguf --sha256 DIGEST --name mine"),
    "models": ("inspect:models", "turnout models --check"),
    "doctor": ("doctor:doctor", "turnout doctor --config turnout.yaml"),
    "prices": ("inspect:prices", "turnout prices --config turnout.yaml"),
    "savings": ("savings:savings", "turnout savings --since 7d --by intent"),
    "replay": ("replay:replay", "turnout replay --config new.yaml --since 7d"),
    "explain": ("ledger:explain", "turnout explain d_0123456789abcdef"),
    "predict": ("predict:predict", "turnout predict --prompts p.jsonl --bundle bundle --out -"),
    "eval": ("evaluate:evaluate", "turnout eval --table outcomes.jsonl --plot curve.png"),
    "calibrate": ("calibrate:calibrate", "turnout calibrate labelled.jsonl --save mine.json"),
    "probe": (
        "probe:probe",
        "turnout probe NEW --bundle bundle --prompts p.jsonl --out probes.jsonl",
    ),
    "soak": ("prove_gateway:soak", "turnout soak --requests 1000000"),
}
GROUPS = {
    "ledger": ("ledger:app", "turnout ledger list --limit 5"),
    "keys": ("keys:keys", "turnout keys create NAME --team research --usd-a-day 5"),
    "budgets": ("keys:budgets", "turnout budgets set team month --name research --usd 200"),
    "train": ("train:app", "turnout train success --table outcomes.jsonl --out bundle"),
    "prove": ("prove:app", "turnout prove billing --requests 1000"),
}
_EXIT_CODES_HELP = (
    "Exit codes: 0 done, 1 some input lines were bad or a check failed, 2 wrong usage or "
    "configuration, 3 the request cannot be served or the ledger not be used now, 4 the models "
    "failed, 5 blocked as unsafe, 130 interrupted."
)


def app(arguments: Sequence[str]) -> typer.Typer:
    """The command line, with the command that ``arguments`` call, or with all of them."""
    command_line = typer.Typer(
        name="turnout",
        help="Send every request to the cheapest model that will answer it well.",
        epilog=_EXIT_CODES_HELP,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    # Without a callback, typer would drop the name of a single command.
    command_line.callback()(_root)
    called = arguments[0] if arguments else ""
    known = called in COMMANDS or called in GROUPS
    for name, (target, example) in COMMANDS.items():
        if not known or name == called:
            command_line.command(name, cls=ListOptionsCommand, epilog=f"Example: {example}")(
                _imported(target)
            )
    for name, (target, example) in GROUPS.items():
        if not known or name == called:
            command_line.add_typer(_imported(target), name=name, epilog=f"Example: {example}")
    return command_line


def _version(asked: bool) -> None:  # noqa: FBT001 -- as typer calls it
    if asked:
        typer.echo(f"turnout {__version__}")
        raise typer.Exit


def _root(
    version: Annotated[  # noqa: FBT002 -- a flag
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Send every request to the cheapest model that will answer it well."""


def _imported(target: str) -> Any:
    module, _, name = target.partition(":")
    return getattr(import_module(f"turnout.cli.{module}"), name)


def run(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    # The matrices are small: several threads would take four times the work of one.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    _open_standard_streams()
    try:
        try:
            app(arguments)(args=arguments)
        finally:
            sys.stdout.flush()
    except RouterError as error:
        _exit_with(error)
    except ModuleNotFoundError as error:
        missing = missing_extra(error)
        if missing is None:
            raise
        _exit_with(missing)
    except BrokenPipeError:
        _discard_output()
        sys.exit(1)  # the reader of the output has seen enough
    except OSError as error:
        _discard_output()
        file = error.filename or "standard output, or a file"
        fix = "; check its permissions" if isinstance(error, PermissionError) else ""
        _exit_with(ConfigError(f"{file}: cannot be used ({error.strerror or error}){fix}"))


def _open_standard_streams() -> None:
    """Opens standard streams that were closed, so that no file that is opened takes their numbers.

    Writing to a closed standard output stays an error. Characters that the encoding of standard
    output lacks are written as escapes.
    """
    kinds = {"stdin": "r", "stdout": "w", "stderr": "w"}
    for name, mode in kinds.items():
        if getattr(sys, name) is None:
            null_fd = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            setattr(sys, name, os.fdopen(null_fd, mode, encoding="utf-8", closefd=False))
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _discard_output() -> None:
    """Drops what is still unwritten, which would fail once more when Python exits."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _exit_with(error: RouterError) -> NoReturn:
    for line in str(error).splitlines():
        sys.stderr.write(f"turnout: {line.encode('utf-8', 'backslashreplace').decode()}\n")
    sys.exit(next(code for kind, code in _EXIT_CODES if isinstance(error, kind)))
