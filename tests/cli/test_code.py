"""``turnout code``: an agent asks through a gateway of its own, or the one that runs."""

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.run import run
from tests.runtime.world import CODE, PATIENT, config
from turnout.cli.agents import AGENTS, Gateway
from turnout.cli.code import NAMES
from turnout.testing import FaultyUpstream, serving

# An agent: asks once over the API that it is told, tells what it was given, and ends with 7.
_AGENT = f"""#!{sys.executable}
import json, os, signal, sys, time, urllib.error, urllib.request

def post(url, body, key):
    headers = {{"content-type": "application/json", "authorization": "Bearer " + key}}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        return json.load(urllib.request.urlopen(request, timeout=60))
    except urllib.error.HTTPError as error:
        return {{"status": error.code}}

if "--wait" in sys.argv:
    def say(*words):  # a handler may come while another line is printed
        os.write(1, " ".join(map(str, words)).encode() + b"\\n")
    def told(number, frame):
        say("told", number)
        if number == signal.SIGTERM:
            sys.exit(9)
    signal.signal(signal.SIGTERM, told)
    signal.signal(signal.SIGINT, told)
    say(os.environ["ANTHROPIC_BASE_URL"], os.getpid())
    time.sleep(60)
asked = {{"messages": [{{"role": "user", "content": {CODE!r}}}], "max_tokens": 50}}
if "ANTHROPIC_BASE_URL" in os.environ:
    url = os.environ["ANTHROPIC_BASE_URL"] + "/v1/messages"
    key, model = os.environ["ANTHROPIC_AUTH_TOKEN"], os.environ["ANTHROPIC_MODEL"]
else:
    url = os.environ["OPENAI_API_BASE"] + "/chat/completions"
    key, model = os.environ["OPENAI_API_KEY"], "auto"
said = {{"arguments": sys.argv[1:], "url": url, "key": key}}
said["answer"] = post(url, {{**asked, "model": model}}, key)
said["refused"] = post(url, {{**asked, "model": model}}, "another")
said["own_key"] = os.environ.get("ANTHROPIC_API_KEY")
print(json.dumps(said))
sys.exit(7)
"""


@pytest.fixture
def upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyUpstream]:
    """A provider with ./turnout.yaml before it, and agents of the names that are known."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for agent in AGENTS.values():
        path = programs / agent.command
        path.write_text(_AGENT)
        path.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("TURNOUT_STATE_DIR", str(tmp_path / "state"))
    with FaultyUpstream() as found:
        settings = {**config(found, timeouts=PATIENT), "ledger": "off"}
        Path("turnout.yaml").write_text(yaml.safe_dump(settings))
        yield found


def is_listening(root: str) -> bool:
    """Whether anything listens there."""
    import http.client

    link = http.client.HTTPConnection(root.removeprefix("http://"), timeout=5)
    try:
        link.connect()
    except OSError:
        return False
    finally:
        link.close()
    return True


def has_stopped(root: str) -> bool:
    """Whether nothing listens there any more, soon."""
    until = time.monotonic() + 20
    while is_listening(root) and time.monotonic() < until:
        time.sleep(0.05)
    return not is_listening(root)


@pytest.mark.parametrize(
    ("agent", "first", "text"),
    [
        ("claude", [], lambda answer: answer["content"][0]["text"]),
        (
            "aider",
            ["--model", "openai/auto"],
            lambda answer: answer["choices"][0]["message"]["content"],
        ),
    ],
)
def test_a_gateway_serves_one_run(
    upstream: FaultyUpstream,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    agent: str,
    first: list[str],
    text: Any,
) -> None:
    """It is asked with a key that nobody else has, and ends with the run; the exit code is kept."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k3y-of-the-provider")
    ran = run(capfd, "code", agent, "--port", "9", "--", "-p", "--model", "x")
    said = json.loads(ran.out)
    assert ran.code == 7
    assert said["arguments"] == [*first, "-p", "--model", "x"]
    assert text(said["answer"]).startswith("acme/coder answers")
    assert (said["refused"], len(said["key"]) >= 32) == ({"status": 401}, True)
    assert said["own_key"] == (None if agent == "claude" else "k3y-of-the-provider")
    assert len(upstream.invoice) == 1
    assert has_stopped(said["url"].partition("/v1")[0])


def test_a_gateway_that_runs_is_asked(
    upstream: FaultyUpstream, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the key in TURNOUT_KEY; it goes on, and a wrong key is told before the agent runs."""
    with serving(config(upstream, timeouts=PATIENT), environ={"TURNOUT_KEYS": "k" * 20}) as served:
        more = ("--port", str(served.port))
        wrong = run(capfd, "code", "claude", *more)
        assert (wrong.code, "TURNOUT_KEY" in wrong.err, wrong.out) == (2, True, "")
        monkeypatch.setenv("TURNOUT_KEY", "k" * 20)
        ran = run(capfd, "code", "claude", *more)
        said = json.loads(ran.out)
        assert (ran.code, said["key"]) == (7, "k" * 20)
        assert said["url"] == f"{served.root}/v1/messages"
        assert is_listening(served.root)
        own = run(capfd, "code", "claude", *more, "--config", "turnout.yaml")
        assert json.loads(own.out)["url"] != said["url"]


def test_another_server_at_the_port_is_left_alone(
    upstream: FaultyUpstream, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is no gateway is not taken for one."""
    said = json.loads(run(capfd, "code", "claude", "--port", str(upstream.port)).out)
    assert said["answer"]["model"] == "acme/coder"


@pytest.mark.parametrize("name", NAMES)
def test_who_is_not_installed_is_told_how(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Before anything is started."""
    monkeypatch.setenv("PATH", "")
    ran = run(capfd, "code", name)
    assert (ran.code, ran.out) == (2, "")
    assert f"is not installed; {AGENTS[name].install}" in ran.err


def test_a_gateway_that_cannot_start_says_why(
    upstream: FaultyUpstream, capfd: pytest.CaptureFixture[str]
) -> None:
    """In its own words, and the agent does not run."""
    del upstream
    Path("turnout.yaml").write_text("models: {a: b}\ndefault: c\n")
    ran = run(capfd, "code", "claude", "--port", "9")
    assert (ran.code, ran.out) == (2, "")
    assert "the gateway did not start" in ran.err
    assert "'c' is not in models" in ran.err


@contextmanager
def waiting_agent() -> Iterator[tuple["subprocess.Popen[str]", str, int]]:
    """``turnout code`` with an agent that waits: the process, the gateway, the agent's id."""
    command = [sys.executable, "-m", "turnout", "code", "claude", "--port", "9", "--", "--wait"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        root, _, agent = process.stdout.readline().partition(" ")
        yield process, root, int(agent)
    finally:
        process.kill()
        process.communicate()


def test_signals_go_to_the_agent(upstream: FaultyUpstream) -> None:
    """Which ends when it wants to, and then the gateway ends."""
    del upstream
    with waiting_agent() as (process, root, _):
        assert process.stdout is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
            assert process.stdout.readline() == f"told {number.value}\n"
        assert process.wait(60) == 9
        assert has_stopped(root)


def test_no_gateway_outlives_a_killed_run(upstream: FaultyUpstream) -> None:
    """Which cannot tell it."""
    del upstream
    with waiting_agent() as (process, root, agent):
        assert is_listening(root)
        process.kill()
        process.wait(20)
        os.kill(agent, signal.SIGKILL)
        assert has_stopped(root)


def test_each_agent_is_told_in_its_own_words() -> None:
    """Codex by settings in TOML, opencode by a configuration in JSON; all are in the table."""
    gateway = Gateway(root="http://127.0.0.1:4100", key="k3y", model="code")
    assert tuple(AGENTS) == NAMES
    told = AGENTS["codex"].setup(gateway)
    assert set(told.arguments[::2]) == {"-c"}
    settings = tomllib.loads("\n".join(told.arguments[1::2]))
    assert settings["model"] == "code"
    assert settings["model_providers"][settings["model_provider"]] == {
        "name": "Turnout",
        "base_url": "http://127.0.0.1:4100/v1",
        "wire_api": "responses",
        "env_key": "TURNOUT_KEY",
    }
    assert told.environ == {"TURNOUT_KEY": "k3y"}
    content = AGENTS["opencode"].setup(gateway).environ["OPENCODE_CONFIG_CONTENT"]
    provider = json.loads(content)["provider"]["turnout"]
    assert provider["options"] == {"baseURL": "http://127.0.0.1:4100/v1", "apiKey": "k3y"}
    assert AGENTS["qwen"].setup(gateway).environ["OPENAI_MODEL"] == "code"


def test_the_page_names_every_variable() -> None:
    """Who sets an agent up by hand finds there what the command sets."""
    page = (Path(__file__).parents[2] / "docs" / "gateway-clients.md").read_text(encoding="utf-8")
    gateway = Gateway(root="http://127.0.0.1:4100", key="k3y", model="auto")
    for agent in AGENTS.values():
        setup = agent.setup(gateway)
        missing = [name for name in {*setup.environ, *setup.without} if name not in page]
        assert missing == [], agent.command
