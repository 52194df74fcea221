"""Files and folders that may not be read or written: one line that names them, and exit code 2."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

CONFIG = """
providers: {acme: {base_url: "http://127.0.0.1:9/v1", api_key: k3y-acme}}
models: {fast: {model: acme/fast, provider: acme, price: {input: 1, output: 2}}}
default: fast
"""
# To root, permissions say nothing unless it gives up its right to pass over them.
OBEYING = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
IS_ROOT = os.geteuid() == 0

pytestmark = pytest.mark.skipif(IS_ROOT and not shutil.which("setpriv"), reason="needs setpriv")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home with a configuration and a ledger; what a test closes is opened again at its end."""
    (tmp_path / "turnout.yaml").write_text(CONFIG)
    (tmp_path / "state").mkdir()
    assert turnout(tmp_path, "keys", "create", "one")[0] == 0
    yield tmp_path
    for folder, _, _ in os.walk(tmp_path):
        Path(folder).chmod(0o700)


def turnout(home: Path, *arguments: str) -> tuple[int, str]:
    """Runs a command in ``home`` for a user who must obey permissions. Returns code and errors."""
    command = [*(OBEYING if IS_ROOT else []), sys.executable, "-m", "turnout", *arguments]
    places = {"XDG_DATA_HOME": str(home / "data"), "TURNOUT_STATE_DIR": str(home / "state")}
    environ = {**os.environ, **places, "HOME": str(home)}
    ran = subprocess.run(
        command, cwd=home, env=environ, capture_output=True, text=True, check=False
    )
    return ran.returncode, ran.stderr


LEDGER = "data/turnout/ledger.db"


@pytest.mark.parametrize(
    ("place", "mode", "command", "said"),
    [
        ("turnout.yaml", 0o000, "route hi", "turnout.yaml: cannot be read (Permission denied)"),
        ("turnout.yaml", 0o000, "serve", "turnout.yaml: cannot be read (Permission denied)"),
        ("state", 0o500, "serve", "set TURNOUT_STATE_DIR to a folder that can be written"),
        (LEDGER, 0o400, "serve", "check the permissions of the file and its folder"),
        (LEDGER, 0o000, "serve", "check the permissions of the file and its folder"),
        (LEDGER, 0o000, "ledger list", "check the permissions of the file and its folder"),
        ("data/turnout", 0o000, "serve", "ledger.db cannot be opened (Permission denied); check"),
        ("data/turnout", 0o000, "savings", "ledger.db cannot be opened (Permission denied); check"),
    ],
)
def test_what_may_not_be_used_is_named(
    home: Path, place: str, mode: int, command: str, said: str
) -> None:
    """In one line, with what to do."""
    (home / place).chmod(mode)
    code, errors = turnout(home, *command.split())
    assert code == 2
    assert said in errors
    assert "Traceback" not in errors


def test_a_read_only_folder_for_a_new_ledger_does_not_start(home: Path) -> None:
    """A folder that cannot be written is told before anything is served."""
    (home / "read-only").mkdir(mode=0o500)
    (home / "turnout.yaml").write_text(f"{CONFIG}ledger: read-only/ledger.db\n")
    code, errors = turnout(home, "serve", "--port", "0")
    assert (code, "serving on" in errors) == (2, False)
    assert "cannot be written" in errors
    assert "set ledger to a path" in errors


@pytest.mark.parametrize("command", ["keys list", "ledger list", "ledger verify", "savings"])
def test_a_ledger_that_may_only_be_read_is_read(home: Path, command: str) -> None:
    """What writes nothing needs no right to; the ledger may be a copy on a read-only disk."""
    (home / LEDGER).chmod(0o400)
    (home / LEDGER).parent.chmod(0o500)
    code, errors = turnout(home, *command.split())
    assert (code, errors) == (0, "")


@pytest.mark.parametrize("command", ["keys create two", "budgets set all day --usd 1", "ask hi"])
def test_a_ledger_that_may_only_be_read_is_not_written(home: Path, command: str) -> None:
    """Its permissions are at fault, though its folder could be written."""
    (home / LEDGER).chmod(0o400)
    code, errors = turnout(home, *command.split())
    assert (code, errors.count("\n")) == (2, 1)
    assert "may only be read); check the permissions of the file" in errors


@pytest.mark.parametrize("command", ["keys create two", "budgets set all day --usd 1", "ask hi"])
def test_a_ledger_that_is_locked_is_no_fault_of_the_models(home: Path, command: str) -> None:
    """Later the same command works."""
    other = apsw.Connection(str(home / LEDGER))
    other.execute("BEGIN EXCLUSIVE")
    code, errors = turnout(home, *command.split())
    other.close()
    assert (code, "database is locked" in errors) == (3, True)


def test_a_folder_in_place_of_a_ledger_is_told(home: Path) -> None:
    """It is a mistake in the configuration, not a fault of the disk."""
    (home / LEDGER).unlink()
    (home / LEDGER).mkdir()
    code, errors = turnout(home, "ledger", "list")
    assert (code, "is a folder; name a file" in errors) == (2, True)
