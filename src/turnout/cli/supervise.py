"""Keeps the workers of ``turnout serve`` running, and writes their one ledger file.

Invariant: what only answers need, models above all, is loaded by workers and never here.
"""

import os
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack

from turnout.catalog import build
from turnout.cli.metrics_folder import metrics_folder
from turnout.config import Config
from turnout.gateway.workers import Workers
from turnout.ledger import Ledger, recorder_for


def supervise(
    config: Config,
    listener: socket.socket,
    workers: int,
    serving: Callable[[], object],
    ready: Callable[[], object],
) -> int:
    """Runs ``workers`` on the socket until told to stop; the exit code.

    ``serving`` is called once the first of them serves, ``ready`` once all do. Raises ConfigError
    or LedgerError where the ledger cannot be opened.
    """
    options = _without_workers(sys.argv[1:])
    command = [sys.executable, "-m", "turnout", *options, "--fd", str(listener.fileno())]
    ledger = recorder_for(config, os.environ, build(config, os.environ), idle_s=None)
    with metrics_folder() as metrics, ExitStack() as held:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
        if isinstance(ledger, Ledger) and ledger.store.exclusive:
            held.enter_context(ledger)
        return Workers(command, workers, [listener.fileno()]).run(serving, ready)


def _without_workers(arguments: list[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for argument in arguments:
        if not skip and not argument.startswith("--workers"):
            kept.append(argument)
        skip = argument == "--workers"
    return kept
