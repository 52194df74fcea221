"""The commands in one place, and the border where errors become one line and an exit code.

Exit codes: 0 done, 1 done but some input lines were bad, 2 wrong usage or configuration,
3 the request cannot be served, 4 the models failed, 5 the request was blocked as unsafe.
"""

import sys
from collections.abc import Sequence

import typer

from turnout.cli import (
    ask,
    calibrate,
    classify,
    compare,
    demo,
    evaluate,
    inspect,
    ledger,
    predict,
    probe,
    prove,
    savings,
    serve,
    setup,
    train,
)
from turnout.core import ConfigError, RequestError, RouterError

_EXIT_CODES: tuple[tuple[type[RouterError], int], ...] = (
    (ConfigError, 2),
    (RequestError, 3),
    (RouterError, 4),
)

app = typer.Typer(
    name="turnout",
    help="Send every request to the cheapest model that will answer it well.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(demo.demo)
app.command()(ask.ask)
app.command()(ask.route)
app.command()(classify.classify)
app.command()(compare.compare)
app.command()(serve.serve)
app.command()(setup.setup)
app.command()(inspect.models)
app.command()(inspect.prices)
app.command()(predict.predict)
app.command("eval")(evaluate.evaluate)
app.command()(calibrate.calibrate)
app.command()(probe.probe)
app.command()(savings.savings)
app.command()(ledger.explain)
app.add_typer(train.app, name="train")
app.add_typer(ledger.app)
app.add_typer(prove.app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code."""
    try:
        app(args=arguments)
    except RouterError as error:
        _say(error)
        sys.exit(next(code for kind, code in _EXIT_CODES if isinstance(error, kind)))


def _say(error: RouterError) -> None:
    for line in str(error).splitlines():
        sys.stderr.write(f"turnout: {line.encode('utf-8', 'backslashreplace').decode()}\n")
