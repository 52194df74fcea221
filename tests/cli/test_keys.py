"""A key's life by commands, and what the list says of it."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.run import run
from tests.ledger.money import CATALOG, decided, make_request
from turnout.core import Bound
from turnout.ledger import Ledger
from turnout.ledger.file_owner import FileOwner
from turnout.ledger.sqlite import SqliteStore


def _settings(tmp_path: Path) -> str:
    path = tmp_path / "c.yaml"
    path.write_text(
        "models: {fast: {model: acme/fast, price: unknown}}\n"
        f"default: fast\nledger: {tmp_path / 'l.db'}\n"
    )
    return str(path)


def test_the_list_says_who_is_let_in_and_who_is_not(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """An expired key is none that is valid, nor is one whose ancestor has ended."""
    settings = ("--config", _settings(tmp_path))
    none = run(capfd, "keys", "list", *settings)
    assert none.out == ""
    assert "make one with: turnout keys create NAME" in none.err
    ids = {}
    for name, more in {
        "old": ("--expires-days", "1"),
        "heir": ("--parent", "old"),
        "gone": (),
        "child": ("--parent", "gone"),
        "good": ("--team", "t", "--models", "fast", "--usd-a-day", "5", "--rpm", "60"),
    }.items():
        given = [ids.get(word, word) for word in more]
        made = run(capfd, "keys", "create", name, "--json", *given, *settings)
        ids[name] = made.json["id"]
    run(capfd, "keys", "revoke", ids["gone"], *settings)
    with closing(sqlite3.connect(tmp_path / "l.db")) as ledger, ledger:  # as a day later
        ledger.execute("UPDATE keys SET expires_ms = 1 WHERE name = 'old'")
    rows = [line for line in run(capfd, "keys", "list", *settings).out.splitlines() if "│" in line]
    said = {name: next(row for row in rows if f" {name} " in row) for name in ids}
    assert "valid" in said["good"]
    assert "expired" in said["old"]
    assert f"expired with {ids['old']}" in said["heir"]
    assert "revoked 20" in said["gone"]
    assert f"with {ids['gone']}" in said["child"]


def test_a_long_list_of_keys_shows_the_newest(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A hundred of them, or as many as are asked for; JSON has all."""
    settings = ("--config", _settings(tmp_path))
    first = run(capfd, "keys", "create", "parent", "--json", *settings).json["id"]
    with closing(sqlite3.connect(tmp_path / "l.db")) as ledger, ledger:
        ledger.executemany(
            "INSERT INTO keys (id, hash, name, parent, admin, created_ms, revoked_ms) "
            "VALUES (?, ?, ?, ?, 0, ?, NULL)",
            [(f"k_{n}", f"{n:064x}", f"key{n}", first, 2 * 10**12 + n) for n in range(300)],
        )
    listed = run(capfd, "keys", "list", *settings)
    rows = [line for line in listed.out.splitlines() if "│" in line]
    assert len(rows) == 100
    assert " key299 " in rows[-1]
    assert all(" valid " in row for row in rows)
    assert "newest 100 of 301 keys" in listed.err
    few = run(capfd, "keys", "list", "-n", "2", "--json", *settings).json
    assert [key["name"] for key in few] == ["key298", "key299"]
    assert len(run(capfd, "keys", "list", "--json", *settings).json) == 301


def test_a_budget_says_under_which_name_it_is_kept(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """By the model's id as by its name."""
    settings = ("--config", _settings(tmp_path))
    for name in ("acme/fast", "fast"):
        said = run(capfd, "budgets", "set", "model", "day", "--name", name, "--usd", "5", *settings)
        assert said.out == "model:fast:day:usd is set\n"
    listed = run(capfd, "budgets", "list", *settings).out
    assert listed.count("model fast: $5") == 1
    id_ = listed.split("; id ")[1].split()[0]
    assert run(capfd, "budgets", "remove", id_, *settings).out == f"{id_} is removed\n"


def test_a_budget_whose_model_is_gone_says_so(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Nothing counts there any more."""
    settings = ("--config", _settings(tmp_path))
    run(capfd, "budgets", "set", "model", "day", "--name", "fast", "--usd", "5", *settings)
    assert "no such model" not in run(capfd, "budgets", "list", *settings).out
    path = Path(settings[1])
    path.write_text(path.read_text().replace("fast", "quick"))
    said = run(capfd, "budgets", "list", *settings).out
    assert "model fast: $5" in said
    assert said.endswith("; no such model is configured\n")


def test_a_new_key_is_all_that_standard_output_has(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """So that a script takes it as it is; what a person should know is said beside it."""
    said = run(capfd, "keys", "create", "ci", "--config", _settings(tmp_path))
    assert re.fullmatch(r"tnk_\S+\n", said.out)
    assert "keep it now" in said.err


async def test_a_gateway_at_work_hinders_no_command(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Keys and budgets are written through it, which keeps the file to itself meanwhile."""
    settings = ("--config", _settings(tmp_path))
    place = str(tmp_path / "l.db")
    with FileOwner(place) as owner, Ledger(SqliteStore(place), catalog=CATALOG) as ledger:
        owner.share(ledger)
        request = make_request(1)
        await ledger.decided(request, decided(request), {"large": Bound(1, 1)})
        made = run(capfd, "keys", "create", "ci", "--json", *settings)
        assert made.code == 0
        run(capfd, "budgets", "set", "key", "day", "--usd", "5", *settings)
        assert "key:*:day:usd" in run(capfd, "budgets", "list", *settings).out
        assert run(capfd, "keys", "revoke", json.loads(made.out)["id"], *settings).code == 0
        assert "revoked 20" in run(capfd, "keys", "list", *settings).out


def test_a_key_is_rotated_and_renamed(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The new secret is shown once, with the time that the old one ends."""
    settings = ("--config", _settings(tmp_path))
    made = json.loads(run(capfd, "keys", "create", "ci", "--json", *settings).out)
    shown = run(capfd, "keys", "rotate", made["id"], "--overlap-hours", "1.5", *settings)
    (secret,) = shown.out.splitlines()
    assert secret.startswith("tnk_")
    assert secret != made["key"]
    assert shown.err.startswith(f"{made['id']}: the old secret is valid until 20")
    reported = run(capfd, "keys", "rotate", made["id"], "--json", *settings).out
    assert json.loads(reported)["key"] not in (secret, made["key"])
    renamed = run(capfd, "keys", "rename", made["id"], "nightly", *settings)
    assert renamed.out == f"{made['id']} is called nightly\n"
    assert "nightly" in run(capfd, "keys", "list", *settings).out
    wrong = run(capfd, "keys", "rotate", "k_x", *settings)
    assert wrong.code == 3
    assert "'k_x' is not a key" in wrong.err
