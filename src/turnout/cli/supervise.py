"""Keeps the workers of ``turnout serve`` running, and writes their one ledger file.

Invariant: what only answers need, such as models, is loaded by workers and never here.
"""

import os
import socket
import sys
from collections.abc import Callable

from turnout.catalog import build
from turnout.cli.metrics_folder import metrics_folder
from turnout.config import Config
from turnout.gateway.workers import Workers
from turnout.ledger import Ledger, recorder_for
from turnout.ledger.file_owner import FileOwner
from turnout.ledger.host import GRACE_S
from turnout.ledger.place import FILE, place_of, writer_variables


def supervise(
    config: Config,
    listener: socket.socket,
    workers: int,
    serving: Callable[[], object],
    ready: Callable[[], object],
    file_owner: FileOwner,
) -> int:
    """Runs ``workers`` on the socket until told to stop. Returns the exit code.

    ``serving`` is called when the first of them serves, ``ready`` when all do; they write a ledger
    file through ``file_owner``. Raises ConfigError or LedgerError if it cannot be opened.
    """
    options = _without_workers_option(sys.argv[1:])
    command = [sys.executable, "-m", "turnout", *options, "--fd", str(listener.fileno())]
    ledger = recorder_for(config, os.environ, build(config, os.environ))
    with metrics_folder() as metrics:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
        running = Workers(command, workers, [listener.fileno()])
        if not isinstance(ledger, Ledger) or not ledger.store.exclusive:
            os.environ[FILE] = ""
            return running.run(serving, ready)
        with ledger:
            address = file_owner.share(ledger, GRACE_S)
            os.environ |= writer_variables(address, str(place_of(config, os.environ)))
            return running.run(serving, ready)


def _without_workers_option(arguments: list[str]) -> list[str]:
    kept: list[str] = []
    skip_next = False
    for argument in arguments:
        if not skip_next and not argument.startswith("--workers"):
            kept.append(argument)
        skip_next = argument == "--workers"
    return kept
