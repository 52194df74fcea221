"""``turnout route --assert``: compares decisions with what a file expects, line by line.

Invariant: a line that expects nothing, or something unknown, is an error. Decisions are made as
they are when serving, but no model answers.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import typer
from msgspec import Struct

from turnout.cli.jsonl import Line, read_lines
from turnout.cli.options import router_of, unrecorded_router
from turnout.cli.show import out, print_json, report_line
from turnout.config import load
from turnout.core import ConfigError, Decision, RequestError, usd_from_pico
from turnout.core.nearest import did_you_mean
from turnout.evaluation.row_files import open_unpacked
from turnout.runtime import Router

_EXPECTED = ("model", "intent", "blocked", "max_cost_usd", "kind")
# The fields of a body, beside messages, that a decision depends on.
_BODY = ("tools", "response_format", "max_tokens", "metadata")
_KNOWN = ("id", "text", "prompt", "messages", *_BODY, *_EXPECTED)


class Checked(Struct, frozen=True):
    """One line: what differs, as {field: (expected, found)}, and why; or what is wrong with it."""

    line: Line
    differs: Mapping[str, tuple[Any, Any]] = {}
    reason: str = ""
    error: str | None = None

    @property
    def passes(self) -> bool:
        """Whether everything that the line expects is so."""
        return not self.differs and self.error is None


def check(file: Path, config: Path | None, model: str, *, ledger: bool, json: bool) -> None:
    """Decides every line of the file and prints what differs; if anything does, exits with 1."""
    loaded = load(config)
    # Nothing is served: a local decision is not recorded, but what a label cost is.
    recorded = ledger and loaded.classifier.kind != "local"
    router = router_of(loaded, ledger=True) if recorded else unrecorded_router(loaded)
    with router as r, open_unpacked(file) as source:
        checked = [_check_line(r, line, model) for line in read_lines(source)]
    if not checked:
        raise ConfigError(f"{file}: has no line to check")
    if json:
        print_json(_report(checked))
    else:
        _show(file, checked)
    if not all(one.passes for one in checked):
        raise typer.Exit(1)


def _check_line(r: Router, line: Line, model: str) -> Checked:
    problem = line.error or _problem(line.row)
    if problem is not None:
        return Checked(line, error=problem)
    body = {name: line.row[name] for name in _BODY if name in line.row}
    try:
        decision = r.route({**body, "messages": line.messages}, model=model)
    except RequestError as error:
        return Checked(line, error=str(error))
    return Checked(line, dict(_differences(line.row, decision)), decision.reason)


def _problem(row: Mapping[str, Any]) -> str | None:
    """Why a line cannot be checked; empty if it can."""
    unknown = next((name for name in row if name not in _KNOWN), None)
    if unknown is not None:
        return f"unknown key {unknown!r}; {did_you_mean(unknown, _KNOWN)}"
    if not any(name in row for name in _EXPECTED):
        return f"expects nothing; add one of {', '.join(_EXPECTED)}"
    cost = row.get("max_cost_usd", 0)
    if isinstance(cost, bool) or not isinstance(cost, int | float) or cost < 0:
        return f"max_cost_usd is {cost!r}; use a number of dollars"
    if not isinstance(row.get("blocked", False), bool):
        return f"blocked is {row['blocked']!r}; use true or false"
    return None


def _differences(
    expected: Mapping[str, Any], decision: Decision
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """The fields that differ from what is expected; a model may be given by name or id."""
    if "model" in expected and expected["model"] not in (decision.deployment, decision.model):
        yield "model", (expected["model"], decision.deployment)
    found = {
        "intent": decision.intent,
        "blocked": decision.blocked is not None,
        "kind": decision.features.kind,
    }
    for name, value in found.items():
        if name in expected and expected[name] != value:
            yield name, (expected[name], value)
    if "max_cost_usd" in expected:
        pico = decision.expected_cost_pico_usd
        cost = None if pico is None else usd_from_pico(pico)
        if cost is None or cost > Decimal(str(expected["max_cost_usd"])):
            yield "max_cost_usd", (expected["max_cost_usd"], None if cost is None else float(cost))


def _show(file: Path, checked: list[Checked]) -> None:
    for one in checked:
        where = f"{file}: line {one.line.number}"
        if one.error is not None:
            report_line(file, one.line.number, one.error)
        for name, (expected, found) in one.differs.items():
            out.print(
                f"{where}: {name}: expected {_as_text(expected)}, is {_as_text(found)} "
                f"({one.reason})"
            )
    out.print(f"{sum(one.passes for one in checked)} of {len(checked)} lines hold")


def _as_text(value: Any) -> str:
    """A value as a line of the file would have it; a small number without an exponent."""
    if isinstance(value, float):
        return f"{Decimal(str(value)):f}"
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _report(checked: list[Checked]) -> dict[str, Any]:
    return {
        "lines": len(checked),
        "held": sum(one.passes for one in checked),
        "differing": [
            {
                "line": one.line.number,
                "id": one.line.row.get("id"),
                "differs": {
                    name: {"expected": expected, "found": found}
                    for name, (expected, found) in one.differs.items()
                },
                "reason": one.reason,
            }
            for one in checked
            if one.differs
        ],
        "bad": [
            {"line": one.line.number, "error": one.error}
            for one in checked
            if one.error is not None
        ],
    }
