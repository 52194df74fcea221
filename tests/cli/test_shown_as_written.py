"""Tables and texts show what was written, whatever it means to a terminal library."""

import re
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Column, Table

from tests.cli.run import run
from turnout.cli import show
from turnout.cli.show import print_table

_ODD = "Is [/b] or [i]this[/i] :x: odd?"


def test_a_prompt_with_signs_of_markup_is_shown_as_written(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """It ended the demo with a traceback, and lost its brackets before that."""
    ran = run(capfd, "demo", _ODD, "--max-tokens", "1", "--no-ledger")
    assert ran.code == 0
    assert f"> {_ODD}" in ran.out
    assert f"│ {_ODD} " in ran.out


def test_a_models_name_with_brackets_is_shown_as_written(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Tables of models and prices name it in full."""
    Path("turnout.yaml").write_text(
        "providers: {p: {base_url: http://h}}\ndefault: m\n"
        "models: {m: {model: 'a/b[free]:x:', price: unknown, provider: p}}\n"
    )
    for command in ("models", "prices"):
        assert "a/b[free]:x:" in run(capfd, command).out


def test_columns_of_numbers_are_right_aligned(capfd: pytest.CaptureFixture[str]) -> None:
    """By what stands in them: prices and windows too, and neither names nor dates."""
    out = run(capfd, "prices").out
    assert "┃ $/M in ┃ $/M out ┃" in out
    assert "│ anthropic/claude-4-sonnet                 │      3 │      15 │" in out
    assert "│   0.27 │     0.4 │" in out


def test_a_narrow_terminal_gets_every_value_whole(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cost of $0.000008 must not look like $0.0000; what fits is still a table."""
    for name, value in {"COLUMNS": "50", "LINES": "24", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(show, "out", Console(force_terminal=True, no_color=True, soft_wrap=True))
    columns = ("model", "tokens", "cost", "share")
    rows = [
        ("vendor/a-model-with-a-long-name", "16+8", "$0.000008", "0.512 ±0.150"),
        ("b", "", "", ""),
    ]
    print_table("rows", columns, rows)
    assert re.sub(r"\x1b\[\d*m", "", capfd.readouterr().out) == (
        "rows\nmodel   vendor/a-model-with-a-long-name\ntokens  16+8\ncost    $0.000008\n"
        "share   0.512 ±0.150\n\nmodel   b\n\n"
    )
    monkeypatch.setenv("COLUMNS", "60")
    print_table("rows", columns, rows)
    shown = capfd.readouterr().out
    assert "│   16+8 │ $0.000008 │ 0.512 ±0.150 │" in shown
    assert max(map(len, shown.splitlines())) == 60


@pytest.mark.parametrize("odd", ["", "表" * 30, "two\nlines", "a\ttab", "long " * 60])
def test_each_row_of_a_long_table_stands_on_its_own(
    capfd: pytest.CaptureFixture[str], odd: str
) -> None:
    """Many rows are drawn as a few would be, also where a cell needs several lines."""
    rows = [(f"k_{n}", "" if n % 3 else odd, f"{n:,}") for n in range(250)]
    wanted = Table("id", "note", Column("count", justify="right"), header_style="bold")
    for row in rows:
        wanted.add_row(*row)
    print_table("rows", ("id", "note", "count"), rows)
    shown = capfd.readouterr().out
    Console(width=160, markup=False, emoji=False).print(wanted)
    assert shown == f"rows\n{capfd.readouterr().out}"
