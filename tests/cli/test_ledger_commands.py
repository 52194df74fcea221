"""The ledger's commands on a recorded run, in every form, and one line for what is wrong."""

import asyncio
import csv
import gzip
import json
import os
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from tests.ledger.money import CATALOG, report_request, traffic
from turnout.ledger import Ledger
from turnout.ledger.sqlite import SqliteStore


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A ledger with thirty requests."""

    async def fill() -> None:
        with Ledger(SqliteStore(tmp_path / "l.db"), catalog=CATALOG) as ledger:
            for one in traffic(30, 1):
                await report_request(ledger, one)

    asyncio.run(fill())
    return tmp_path / "l.db"


def _run(*arguments: str | Path, code: int = 0) -> str:
    environ = {**os.environ, "TURNOUT_CONFIG": ""}
    done = subprocess.run(
        [sys.executable, "-m", "turnout", *map(str, arguments)],
        capture_output=True, text=True, check=False, env=environ,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


def test_list_show_and_explain_agree(place: Path) -> None:
    """What list names, show itemises and explain justifies."""
    first = json.loads(_run("ledger", "list", "--json", "-n", "1", "--ledger", place))[0]
    found = json.loads(_run("ledger", "show", first["id"], "--json", "--ledger", place))
    why = json.loads(_run("explain", first["request_id"], "--json", "--ledger", place))
    assert sum(call["cost"] for call in found["calls"]) == first["cost_pico_usd"]
    assert why["id"] == first["id"]
    assert "candidates" in why
    assert first["id"] in _run("ledger", "list", "--ledger", place)


def test_savings_in_every_form(place: Path, tmp_path: Path) -> None:
    """Text, JSON, CSV and a plot of the same report."""
    report = json.loads(_run("savings", "--by", "intent", "--json", "--ledger", place))
    table = _run("savings", "--by", "intent", "--csv", "--ledger", place).splitlines()
    assert len(table) == len(report["groups"]) + 2
    rows = list(csv.DictReader(table))
    assert all(row["group"] for row in rows)
    money = [row[name] for row in rows for name in ("actual_usd", "strongest_usd") if row[name]]
    assert money
    assert all(re.fullmatch(r"\d+\.\d{12}", one) for one in money)
    assert Decimal(rows[-1]["actual_usd"]) == sum(Decimal(r["actual_usd"]) for r in rows[:-1])
    assert sum(g["cost"] for g in report["groups"]) == report["total"]["cost"]
    plot = tmp_path / "plot.png"
    text = _run("savings", "--since", "7d", "--plot", plot, "--ledger", place)
    assert "30 requests cost" in text
    said_as = f"{float(rows[-1]['saved_share']):.1%}"
    assert f" {said_as} │" in text
    assert f"; {said_as} less than" in text
    assert re.search(r"\$0\.0\d+ so far, \$\d+\.\d+ expected", text)
    assert plot.read_bytes().startswith(b"\x89PNG")
    said = _run("savings", "--plot", tmp_path / "plot.xyz", "--ledger", place, code=2)
    assert "plot.xyz: cannot be written (Format 'xyz' is not supported" in said


def test_export_to_lines_and_parquet(place: Path, tmp_path: Path) -> None:
    """Both files hold every request with its cost."""
    import pyarrow.parquet as pq

    _run("ledger", "export", tmp_path / "out.jsonl", "--ledger", place)
    _run("ledger", "export", tmp_path / "out.parquet", "--ledger", place)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    _run("ledger", "export", tmp_path / "out.jsonl.gz", "--ledger", place)
    packed = gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes())
    assert packed == (tmp_path / "out.jsonl").read_bytes()
    table = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert len(lines) == 30
    assert [row["cost_pico_usd"] for row in table] == [row["cost_pico_usd"] for row in lines]


def test_verify_exits_with_one_when_a_sum_is_wrong(place: Path) -> None:
    """A row changed behind the ledger's back is found, and named."""
    import apsw

    assert "sound" in _run("ledger", "verify", "--ledger", place)
    connection = apsw.Connection(str(place))
    connection.execute("DROP TRIGGER keep_calls_update")
    connection.execute("UPDATE calls SET cost = cost + 1 WHERE n = 0")
    connection.close()
    done = subprocess.run(
        [sys.executable, "-m", "turnout", "ledger", "verify", "--ledger", place],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "another amount than their calls cost" in done.stdout


_OTHER = """
providers: {acme: {base_url: "http://127.0.0.1:1/v1", api_key: none}}
models:
  small: {model: acme/small, provider: acme, price: {input: 1, output: 2}}
  large: {model: acme/large, provider: acme, price: {input: 10, output: 30}}
intents: {code: small, chat: large, unsafe: block}
default: small
"""


def test_another_configuration_decides_recorded_requests_again(place: Path, tmp_path: Path) -> None:
    """The table has a row for each change and one for all; JSON has every move."""
    other = tmp_path / "other.yaml"
    other.write_text(_OTHER)
    found = json.loads(_run("replay", "--config", other, "--json", "--ledger", place))
    moved = {(m["then"], m["now"]): m for m in found["moves"]}
    down, up = moved["acme/large", "acme/small"], moved["acme/small", "acme/large"]
    assert found["changed"] == down["requests"] + up["requests"]
    assert down["then_pico_usd"] > down["now_pico_usd"] > 0
    assert 0 < up["then_pico_usd"] < up["now_pico_usd"]
    assert found["now_pico_usd"] == sum(m["now_pico_usd"] for m in found["moves"])
    text = _run("replay", "--config", other, "--since", "7d", "--ledger", place)
    assert f"{found['changed']} requests of 30 would go elsewhere" in text
    assert down["example"] in text
    assert "chat → large" in text
    assert "the costs leave out" in text
    assert "expected quality" not in text
    assert "feedback" not in text
    ruled = "policy: {name: rules, rules: [{name: law, model: large, keywords: [law]}]}\n"
    other.write_text(_OTHER + ruled)
    assert "rule 'law' reads the text" in _run(
        "replay", "--config", other, "--ledger", place, code=2
    )


def test_feedback_of_another_configuration_is_estimated(tmp_path: Path) -> None:
    """With an interval if enough requests would go where they went."""
    other, place = tmp_path / "other.yaml", tmp_path / "l.db"
    other.write_text(_OTHER.replace("code: small, chat: large", "code: large, chat: small"))

    async def fill(start: int) -> None:
        with Ledger(SqliteStore(place), catalog=CATALOG) as ledger:
            for one in traffic(25, start):
                await report_request(ledger, one)
                if one.outcomes:
                    await ledger.feedback(one.decision.id, "thumb", 1.0)

    asyncio.run(fill(1))
    few = _run("replay", "--config", other, "--ledger", place)
    assert "feedback thumb 1.000 (23 requests); too few of them went where they would go" in few
    asyncio.run(fill(26))
    enough = _run("replay", "--config", other, "--ledger", place)
    assert (
        "feedback thumb 1.000 (46 requests), would be 1.000 (95 %: 0.906 to 1.000, as from "
        "46 sessions)"
    ) in enough


@pytest.mark.parametrize(
    ("code", "arguments", "says"),
    [
        (2, ("savings", "--since", "yesterday"), "use a span like 7d"),
        (2, ("replay", "--since", "yesterday"), "use a span like 7d"),
        (2, ("ledger", "export", "all.csv"), "name it .jsonl or .parquet"),
        (3, ("ledger", "show", "d_nothing"), "is not in the ledger"),
        (3, ("explain", "r_nothing"), "is not in the ledger"),
    ],
)
def test_a_wrong_argument_is_one_line(
    code: int, arguments: tuple[str, ...], says: str, place: Path
) -> None:
    """The line names the value and the fix."""
    said = _run(*arguments, "--ledger", place, code=code)
    assert says in said
    assert said.count("\n") == 1


def test_no_ledger_yet_is_one_line(tmp_path: Path) -> None:
    """Asking before anything was recorded says how it comes to be."""
    place, out = tmp_path / "l.db", tmp_path / "out.jsonl"
    assert "no ledger yet" in _run("ledger", "list", "--ledger", place, code=2)
    assert "no ledger yet" in _run("ledger", "export", out, "--ledger", place, code=2)
    assert not out.exists()
