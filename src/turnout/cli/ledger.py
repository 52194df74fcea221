"""``turnout ledger`` and ``explain``: what was decided and what it cost."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from turnout.cli.files import output_file
from turnout.cli.options import ConfigOption, JsonOption, PlaceOption, group, open_store
from turnout.cli.outcomes import outcomes
from turnout.cli.show import err, out, print_json, print_table
from turnout.core import ConfigError, format_usd
from turnout.core.plural import many
from turnout.ledger import Line, decision_of, latest_requests, request_details, verify
from turnout.ledger.export import export_jsonl, export_parquet
from turnout.ledger.queries import CALL_COLUMNS

Format = Literal["jsonl", "parquet"]

IdArgument = Annotated[str, typer.Argument(metavar="ID", help="A decision's or a request's id.")]

app = group("ledger", "Read and check the record of decisions, calls and costs.")
app.command("outcomes")(outcomes)


@app.command("list")
def list_(
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many.")] = 20,
    intent: Annotated[str | None, typer.Option(help="Only this intent.")] = None,
    model: Annotated[str | None, typer.Option(help="Only this chosen model.")] = None,
    ledger: PlaceOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """List the latest requests, newest first."""
    lines = latest_requests(open_store(ledger, config), limit=limit, intent=intent, model=model)
    if json:
        print_json([line.as_dict() for line in lines])
        return
    columns = ("time", "decision", "intent", "model", "state", "cost")
    print_table("Requests", columns, [_row(line) for line in lines])


@app.command()
def show(
    id_: IdArgument,
    *,
    ledger: PlaceOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Show one request: each of its calls with tokens, price and cost."""
    found = request_details(open_store(ledger, config), id_)
    if json:
        print_json(found)
        return
    out.print(
        f"{found['id']}  {_time(found['at_ms'])}  {found['intent']} → "
        f"{found['model'] or 'no model'}  {found['state']}  {format_usd(found['cost_pico_usd'])}",
    )
    names = ("role", "model", "served", "status", "input", "cache_read", "cache_write", "output",
             "reasoning", "cost", "latency_ms", "fault")  # fmt: skip
    assert set(names) <= set(CALL_COLUMNS)  # noqa: S101 -- a wrong column is a bug here
    rows = [tuple(_cell(name, call[name]) for name in names) for call in found["calls"]]
    print_table("Calls", names, rows)
    for price in found["prices"]:
        kind = ", assumed" if price["assumed"] else ""
        out.print(
            f"price {price['model']}: {price['source']}, {price['date']}{kind}",
        )
    for event in found["events"]:
        out.print(f"event {event['kind']}: {event['detail']}")


@app.command()
def export(
    target: Annotated[Path, typer.Argument(help="The file to write; - is standard output.")],
    *,
    kind: Annotated[
        Format | None,
        typer.Option("--format", help="jsonl or parquet; by default from the file's name."),
    ] = None,
    ledger: PlaceOption = None,
    config: ConfigOption = None,
) -> None:
    """Write every request with its cost to a file."""
    store = open_store(ledger, config)
    chosen = kind or _format_of(target)
    with output_file(target) as sink:
        count = (export_parquet if chosen == "parquet" else export_jsonl)(store, sink)
    err.print(f"{many(count, 'request')} written to {target}", style="dim")


def _format_of(target: Path) -> Format:
    if target.suffix == ".parquet":
        return "parquet"
    written = target.with_suffix("") if target.suffix == ".gz" else target
    if str(target) == "-" or written.suffix in {".jsonl", ".ndjson", ".json"}:
        return "jsonl"
    raise ConfigError(f"{target}: name it .jsonl or .parquet, or say which with --format")


@app.command("verify")
def verify_(
    *, ledger: PlaceOption = None, config: ConfigOption = None, json: JsonOption = False
) -> None:
    """Check that the record is sound, else exit with 1.

    Its structure, links, states, prices and sums are checked.
    """
    store = open_store(ledger, config)
    found = verify(store)
    if json:
        print_json({"ledger": store.where, "sound": not found, "findings": found})
    elif found:
        for line in found:
            out.print(f"{store.where}: {line}")
    else:
        out.print(f"{store.where}: sound")
    if found:
        raise typer.Exit(1)


def explain(
    id_: IdArgument,
    *,
    ledger: PlaceOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Say why a recorded request went to its model."""
    _, decision = decision_of(open_store(ledger, config), id_)
    if json:
        print_json(decision.as_dict())
    else:
        out.print(decision.explain())


def _row(line: Line) -> tuple[str, ...]:
    return (
        _time(line.at_ms),
        line.id,
        line.intent,
        "blocked" if line.blocked else line.model or "",
        line.state,
        format_usd(line.cost_pico_usd) if line.state != "held" else "",
    )


def _time(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def _cell(name: str, value: Any) -> str:
    if name == "cost":
        return format_usd(value)
    return "" if value is None else str(value)
