"""``turnout code``: a coding agent that asks through the gateway, for one run of it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, get_args

import typer

from turnout.cli.agents import AGENTS, Agent, Gateway
from turnout.cli.extras import require_extra
from turnout.cli.options import ModelOption
from turnout.cli.own_gateway import running_gateway, started_gateway
from turnout.cli.show import err
from turnout.core import ConfigError

# typer takes the choices from the annotation; a test compares them with the table.
Name = Literal["claude", "codex", "opencode", "aider", "qwen"]
NAMES: tuple[str, ...] = get_args(Name)
_NO_KEY = "unused"


def code(
    agent: Annotated[Name, typer.Argument(help="The agent to run.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- ARGS]", help="Arguments for the agent.")
    ] = None,
    *,
    model: ModelOption = "auto",
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="Address of a running gateway.")
    ] = 4100,
    config: Annotated[
        Path | None,
        typer.Option("--config", "-c", help="turnout.yaml for a gateway of this run alone."),
    ] = None,
) -> None:
    """Run a coding agent through the gateway.

    A gateway that answers at --port is used, with the key in TURNOUT_KEY. Without one, or with
    --config, a gateway is started for this run and ends with it. The agent's files are not
    changed; it gets the arguments after --, and its exit code is passed on.
    """
    spec = AGENTS[agent]
    program = shutil.which(spec.command)
    if program is None:
        raise ConfigError(f"{spec.command} is not installed; {spec.install}")
    with _gateway(config, port, model) as gateway:
        exit_code = _run(program, spec, gateway, arguments or [])
    raise typer.Exit(exit_code)


@contextmanager
def _gateway(config: Path | None, port: int, model: str) -> Iterator[Gateway]:
    key = os.environ.get("TURNOUT_KEY") or _NO_KEY
    root = None if config else running_gateway(port, key)
    if root is not None:
        err.print(f"turnout: asking the gateway at {root}", style="dim")
        yield Gateway(root=root, key=key, model=model)
        return
    require_extra("serve", "turnout code")
    with started_gateway(config, os.environ) as (root, secret):
        err.print(f"turnout: started a gateway at {root} for this run", style="dim")
        yield Gateway(root=root, key=secret, model=model)


def _run(program: str, agent: Agent, gateway: Gateway, arguments: list[str]) -> int:
    """Runs the agent to its end. Returns its exit code as a shell would."""
    setup = agent.setup(gateway)
    environ = {name: value for name, value in os.environ.items() if name not in setup.without}
    with _passing_signals_on() as passed_to:
        process = subprocess.Popen(  # noqa: S603 -- the agent that was asked for
            [program, *setup.arguments, *arguments], env={**environ, **setup.environ}
        )
        passed_to.append(process)
        exit_code = process.wait()
    return exit_code if exit_code >= 0 else 128 - exit_code


@contextmanager
def _passing_signals_on() -> Iterator[list["subprocess.Popen[bytes]"]]:
    """Passes signals on to these processes; a terminal sends its Ctrl-C to them itself."""
    processes: list[subprocess.Popen[bytes]] = []
    has_terminal = any(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr))

    def pass_on(number: int, _: object) -> None:
        if not (has_terminal and number == signal.SIGINT):
            for process in processes:
                process.send_signal(number)

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {number: signal.signal(number, pass_on) for number in numbers}
    try:
        yield processes
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
