"""What commonly goes wrong at the start of a gateway is one line with the fix, and an exit code."""

import hashlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.run import run
from turnout.cli import metrics_folder
from turnout.gateway.handover import Handover, handover_path
from turnout.gateway.listener import Address, bind
from turnout.ledger.file_owner import FileOwner

CONFIG = """
providers:
  p:
    base_url: http://127.0.0.1:9/v1
    api_key: {key}
models:
  fast: {{model: m/fast, provider: p, price: {price}}}
default: fast
ledger: {ledger}
"""
GOOD = {"key": "none-needed", "price": "{input: 1, output: 2}", "ledger": '"off"'}


@pytest.fixture(autouse=True)
def _state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TURNOUT_STATE_DIR", str(tmp_path))
    monkeypatch.delenv("TURNOUT_KEYS", raising=False)
    (tmp_path / "admin-token").write_text("a-token-of-more-than-sixteen-characters")
    (tmp_path / "good.yaml").write_text(CONFIG.format(**GOOD))


@pytest.mark.parametrize(
    ("changed", "more", "said"),
    [
        ({"key": "${NO_SUCH_KEY}"}, "", ["p.api_key", "NO_SUCH_KEY is not set", "export it"]),
        ({"price": "{input: -1, output: 2}"}, "", ["line 7", "price.input", "-1", "greater than"]),
        ({"price": "{input: cheap, output: 2}"}, "", ["price.input", "'cheap'", "decimal"]),
        ({"price": "null"}, "", ["m/fast", "no known price", "price: unknown"]),
        ({}, "policy: {name: fixed, model: fats}", ["policy.model", "'fats'", "mean 'fast'?"]),
        ({}, "polcy: {}", ["unknown key 'polcy'", "mean 'policy'?"]),
        (
            {},
            "policy: {name: cheapest_above_quality, bundle: no/where}",
            ["policy.bundle", "no/where", "make one"],
        ),
        (
            {},
            "classifier: {artefact: no/where.zip}",
            ["classifier.artefact", "no/where.zip", "train intents"],
        ),
        ({}, "budgets: [{per: all, window: day, usd: 1}]", ["budgets need a ledger", "remove"]),
        ({"ledger": "/dev/null/ledger.db"}, "", ["/dev/null", "set ledger to a path"]),
        ({"ledger": "mysql://h/n"}, "", ["mysql:// URL", "postgresql:// URL"]),
        ({"ledger": "good.yaml"}, "", ["good.yaml", "not a ledger", "name another file"]),
    ],
)
def test_a_wrong_configuration_does_not_start(
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    changed: dict[str, str],
    more: str,
    said: list[str],
) -> None:
    """The line names the field, its value and the fix; nothing says that it serves."""
    path = tmp_path / "c.yaml"
    path.write_text(CONFIG.format(**{**GOOD, **changed}) + more + "\n")
    ran = run(capfd, "serve", "--config", str(path), "--port", "0")
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 1
    for part in said:
        assert part in ran.err


def test_a_second_gateway_on_one_file_does_not_start(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Whichever of the two were at rest, the other would fail its callers."""
    ledger = tmp_path / "ledger.db"
    (tmp_path / "c.yaml").write_text(CONFIG.format(**{**GOOD, "ledger": ledger}))
    for more in ((), ("--workers", "2")):
        with FileOwner(str(ledger)):
            ran = run(capfd, "serve", "--config", str(tmp_path / "c.yaml"), "--port", "0", *more)
        assert (ran.code, ran.out) == (2, "")
        assert f"{ledger} has a gateway already (pid {os.getpid()})" in ran.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--host", "0.0.0.0"], ["--host 0.0.0.0", "no key", "keys create", "set TURNOUT_KEYS"]),  # noqa: S104
        (["--host", ""], ["--host '' is not an address", "such as 127.0.0.1"]),
        (["--host", "/run/turnout.sock"], ["'/run/turnout.sock' is not an address"]),
        (["--tls-cert", "good.yaml"], ["--tls-cert and --tls-key", "give both"]),
        (["--tls-cert", "good.yaml", "--tls-key", "good.yaml"], ["good.yaml", "cannot be used"]),
        (["--tls-cert", "a.pem", "--tls-key", "b.pem"], ["--tls-cert a.pem: no such file"]),
        (["--log-level", "LOUD"], ["--log-level", "LOUD", "debug"]),
        (["--config", "no.yaml"], ["no.yaml: no such file", "write one"]),
        (["--config", "."], ["cannot be read (Is a directory)"]),
        (["--take-over"], ["no gateway to take over from", "leave --take-over out"]),
    ],
)
def test_wrong_options_do_not_start(
    capfd: pytest.CaptureFixture[str], options: list[str], said: list[str]
) -> None:
    """So with options; those that do not parse come with a usage line as well."""
    ran = run(capfd, "serve", "--config", "good.yaml", "--port", "0", *options)
    assert (ran.code, ran.out) == (2, "")
    assert "serving on" not in ran.err
    for part in said:
        assert part in ran.err


@pytest.mark.parametrize("host", ["nobody.invalid", "x" * 70, "é" * 70])
def test_a_name_that_is_none_of_this_machine_is_one_line(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Also one that no name can be."""
    monkeypatch.setenv("TURNOUT_KEYS", "a-key-of-more-than-16")
    ran = run(capfd, "serve", "--config", "good.yaml", "--port", "0", "--host", host)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"cannot listen on {host}:0" in ran.err


def test_an_environment_without_folders_is_told_what_to_set(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user without a home has no admin token, no register of models, and no ledger."""
    for name in ("HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "TURNOUT_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    ran = run(capfd, "serve", "--config", "good.yaml", "--port", "0")
    assert (ran.code, "set TURNOUT_STATE_DIR or HOME" in ran.err) == (2, True)
    monkeypatch.setenv("TURNOUT_STATE_DIR", "/dev/null/state")
    ran = run(capfd, "serve", "--config", "good.yaml", "--port", "0")
    assert (ran.code, "set TURNOUT_STATE_DIR to a folder" in ran.err) == (2, True)
    ran = run(capfd, "setup", "--path", __file__, "--sha256", _digest(__file__), "--name", "x")
    assert (ran.code, "set HOME or XDG_DATA_HOME" in ran.err) == (2, True)
    assert run(capfd, "models").code == 0


def test_workers_without_a_temporary_folder_are_told_what_to_set(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container whose file system is read-only."""

    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp', '/']")

    monkeypatch.setattr(metrics_folder, "gettempdir", none)
    ran = run(capfd, "serve", "--config", "good.yaml", "--port", "0", "--workers", "2")
    assert (ran.code, "workers need a folder" in ran.err, "set TMPDIR" in ran.err) == (
        2,
        True,
        True,
    )


def test_a_folder_whose_path_is_too_long_for_a_socket_is_named(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Sockets have short names: the folder can be set."""
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    monkeypatch.setenv("TURNOUT_STATE_DIR", str(deep))
    ran = run(capfd, "serve", "--config", "good.yaml", "--port", "0")
    assert (ran.code, "set TURNOUT_STATE_DIR" in ran.err) == (2, True)
    assert "serving on" not in ran.err


def _digest(file: str) -> str:
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


@pytest.mark.parametrize("by", ["another program", "a gateway"])
def test_a_port_in_use_is_named(capfd: pytest.CaptureFixture[str], by: str) -> None:
    """Somebody has the port: the address is named, and what to choose."""
    ours = by == "a gateway"
    other = bind(Address(port=0), keyless=True) if ours else socket.create_server(("127.0.0.1", 0))
    with other:
        port = str(other.getsockname()[1])
        ran = run(capfd, "serve", "--config", "good.yaml", "--port", port)
    assert ran.code == 2
    assert f"127.0.0.1:{port} (Address already in use)" in ran.err
    assert "choose another --port" in ran.err
    assert "--take-over" in ran.err


def test_a_gateway_that_is_taken_over_keeps_its_address(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Another one cannot be had that way, and would have been ignored; the old one serves on."""
    stopped: list[bool] = []
    with bind(Address(port=0), keyless=True) as listener:
        port = listener.getsockname()[1]
        place = handover_path(tmp_path, port)
        with Handover(place, listener, lambda: stopped.append(True)):
            asked = ("serve", "--config", "good.yaml", "--port", str(port), "--take-over")
            ran = run(capfd, *asked, "--host", "127.0.0.2")
    assert (ran.code, ran.out, stopped) == (2, "", [])
    assert "--host 127.0.0.2: the gateway that runs listens on 127.0.0.1" in ran.err
    assert "leave --host out" in ran.err


def test_an_address_of_another_machine_is_named(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that is not this machine's cannot be listened on."""
    monkeypatch.setenv("TURNOUT_KEYS", "a-key-of-more-than-sixteen-characters")
    ran = run(capfd, "serve", "--config", "good.yaml", "--port", "0", "--host", "192.0.2.1")
    assert ran.code == 2
    assert "cannot listen on 192.0.2.1:0" in ran.err
    assert "choose another --host" in ran.err


@pytest.mark.parametrize(
    "more", ["classifier: {artefact: no/where.zip}", "ledger: /dev/null/ledger.db"]
)
def test_several_workers_say_it_once(tmp_path: Path, more: str) -> None:
    """What only a worker finds, and what the parent finds, is one line for all of them."""
    text = CONFIG.format(**GOOD).replace('ledger: "off"\n', "")
    (tmp_path / "c.yaml").write_text(text + more + "\n")
    command = [sys.executable, "-m", "turnout", "serve", "--config", "c.yaml", "--port", "0"]
    done = subprocess.run(
        [*command, "--workers", "3"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("turnout: ")
