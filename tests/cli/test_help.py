"""The help is short enough to be read, and its examples run as they stand."""

import re
import shlex

import pytest

from tests.cli.run import run
from turnout.cli.app import COMMANDS, GROUPS

EXAMPLES = [example for _, example in (*COMMANDS.values(), *GROUPS.values())]


@pytest.mark.parametrize("group", ["", *GROUPS])
def test_each_command_is_told_in_one_whole_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, group: str
) -> None:
    """On eighty columns no line of the list ends in dots."""
    monkeypatch.setenv("COLUMNS", "80")
    ran = run(capfd, *group.split(), "--help")
    listed = ran.out.partition("Commands:\n")[2].partition("\n\n")[0].splitlines()
    assert listed
    assert [line for line in listed if not line.endswith(".") or line.endswith("...")] == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_has_the_options_of_its_command(
    capfd: pytest.CaptureFixture[str], example: str
) -> None:
    """An option that is not there is an error before the help is shown."""
    words = shlex.split(example)
    ran = run(capfd, *words[1:], "--help")
    assert (words[0], ran.code) == ("turnout", 0), ran.err


def test_a_commands_help_shows_its_example(capfd: pytest.CaptureFixture[str]) -> None:
    """Each is shown where it is looked for, and the exit codes once."""
    for name, (_, example) in {**COMMANDS, **GROUPS}.items():
        shown = re.sub(r"\s+", " ", run(capfd, name, "--help").out)
        assert shown.endswith(f"Example: {example} ")
    assert "Exit codes: 0 done" in run(capfd, "--help").out
