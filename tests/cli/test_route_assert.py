"""``turnout route --assert``: policy tests that fail when a decision is another one."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.cli.run import Ran, run
from tests.runtime.world import CODE, FACT, UNSAFE

TOOL = {"type": "function", "function": {"name": "look", "parameters": {}}}
HOLDS: list[dict[str, Any]] = [
    {"text": FACT, "model": "fast", "intent": "simple_qa", "blocked": False},
    {"text": FACT, "model": "deepseek-ai/DeepSeek-V3.2", "max_cost_usd": 0.001},
    {"messages": [{"role": "user", "content": CODE}], "model": "coder", "kind": "turn"},
    {"text": UNSAFE, "blocked": True, "intent": "unsafe", "max_cost_usd": 0},
    {"prompt": "quota", "max_tokens": 1, "kind": "background"},
    {"prompt": "quota", "max_tokens": 1, "tools": [TOOL], "kind": "turn"},
]


def run_assert(capfd: pytest.CaptureFixture[str], *rows: Any, more: tuple[str, ...] = ()) -> Ran:
    """The command over these lines on standard input."""
    lines = b"".join((r if isinstance(r, bytes) else orjson.dumps(r)) + b"\n" for r in rows)
    return run(capfd, "route", "--assert", "-", *more, stdin=lines)


def test_what_is_as_expected_is_no_news(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Each kind of expectation can hold, from a file too, and nothing is recorded."""
    ran = run_assert(capfd, *HOLDS)
    assert (ran.code, ran.out, ran.err) == (0, "6 of 6 lines hold\n", "")
    file = tmp_path / "policy.jsonl"
    file.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in HOLDS))
    assert run(capfd, "route", "--assert", str(file), "--json").json == {
        "lines": 6,
        "held": 6,
        "differing": [],
        "bad": [],
    }
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": FACT, "model": "strong"}, "model: expected strong, is fast"),
        ({"text": FACT, "intent": "code"}, "intent: expected code, is simple_qa"),
        ({"text": FACT, "blocked": True}, "blocked: expected true, is false"),
        ({"text": UNSAFE, "model": "fast"}, "model: expected fast, is null"),
        ({"text": FACT, "kind": "background"}, "kind: expected background, is turn"),
        ({"text": CODE, "max_cost_usd": 0.00001}, "expected 0.00001, is 0.00040"),
    ],
)
def test_each_difference_is_told_with_what_is(
    capfd: pytest.CaptureFixture[str], row: dict[str, Any], said: str
) -> None:
    """A line each, with its number and the decision's reason, and exit code 1."""
    ran = run_assert(capfd, HOLDS[0], row)
    line, count = ran.out.splitlines()
    assert (ran.code, count) == (1, "1 of 2 lines hold")
    assert line.startswith("-: line 2: ")
    assert said in line
    report = run_assert(capfd, HOLDS[0], {**row, "id": "a"}, more=("--json",))
    assert (report.code, report.json["held"]) == (1, 1)
    (found,) = report.json["differing"]
    assert (found["line"], found["id"]) == (2, "a")
    assert list(found["differs"]) == [name for name in row if name != "text"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"text": FACT, "modle": "fast"}, "did you mean 'model'"),
        ({"text": FACT}, "expects nothing"),
        ({"model": "fast"}, "has neither text nor messages"),
        ({"text": FACT, "blocked": "no"}, "use true or false"),
        ({"text": FACT, "max_cost_usd": "1"}, "use a number of dollars"),
        ({"text": FACT, "max_cost_usd": True}, "use a number of dollars"),
        (b'{"text": ', "not JSON"),
    ],
)
def test_a_line_that_could_not_fail_is_an_error(
    capfd: pytest.CaptureFixture[str], row: Any, said: str
) -> None:
    """A misspelled expectation must not pass for one that holds."""
    ran = run_assert(capfd, HOLDS[0], row)
    assert (ran.code, "1 of 2 lines hold" in ran.out) == (1, True)
    assert "line 2" in ran.err
    assert said in ran.err


def test_the_configuration_that_serves_decides(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """``--config`` names it, and ``--model`` what every line asks for."""
    path = tmp_path / "own.yaml"
    path.write_text(
        "provider: openai\nmodels: {small: gpt-4o-mini, big: gpt-4o}\ndefault: small\n"
        "policy: {name: rules, rules: [{name: r, model: big, keywords: [contract]}]}\n"
    )
    rows = [{"text": "Read this contract", "model": "big"}, {"text": FACT, "model": "small"}]
    more = ("--config", str(path))
    assert run_assert(capfd, *rows, more=more).code == 0
    asked = run_assert(capfd, *rows, more=(*more, "--model", "strongest"))
    assert "line 2: model: expected small, is big" in asked.out


def test_nothing_to_check_is_wrong_usage(capfd: pytest.CaptureFixture[str]) -> None:
    """So is a prompt beside the file."""
    assert (run_assert(capfd).code, run_assert(capfd, b"").code) == (2, 2)
    assert run(capfd, "route", "--assert", "-", "Hello").code == 2
    assert "no such file" in run(capfd, "route", "--assert", "none.jsonl").err.casefold()
