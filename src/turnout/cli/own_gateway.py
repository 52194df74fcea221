"""A gateway for one program: one that runs already, or one that ends with the program.

Invariant: a gateway started here is given a key that nobody else knows, listens on this machine
only, and does not outlive this process, however that ends.
"""

import asyncio
import os
import secrets
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import orjson

from turnout.core import ConfigError
from turnout.core.stop_process import stop_process
from turnout.gateway.listener import Address, bind
from turnout.gateway.worker_link import SERVING
from turnout.providers import HttpTransport, Timeouts, TransportError, WireRequest, read_all

_START_S, _END_S, _DRAIN_S = 60.0, 10.0, 5.0
_POLL_S = 0.1
_READ_BYTES = 2000
# How the ledger says that another gateway writes its file, and what to do then.
_BUSY_TEXT, _BUSY_HINT = (
    "another process",
    "; agents side by side share one gateway: run turnout serve",
)


def running_gateway(port: int, key: str) -> str | None:
    """The address of the gateway at ``port`` of this machine; None without one.

    Raises ConfigError if it does not take the key.
    """
    root = f"http://127.0.0.1:{port}"
    status, body = asyncio.run(_get(f"{root}/openapi.json", key))
    if status != 200 or not _is_ours(body):
        return None
    status, _ = asyncio.run(_get(f"{root}/v1/models", key))
    if status == 200:
        return root
    raise ConfigError(
        f"the gateway at {root} refuses the key in TURNOUT_KEY, or needs one: make one with "
        "turnout keys create NAME, or start another gateway with --config turnout.yaml"
    )


@contextmanager
def started_gateway(config: Path | None, environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Starts a gateway, until the context ends. Yields its address and key.

    The last line of its log is shown if it does not start, as a ConfigError, or ends too soon.
    """
    key = secrets.token_urlsafe(32)
    keys = ",".join(filter(None, (environ.get("TURNOUT_KEYS", ""), key)))
    ours, theirs = socket.socketpair()
    with bind(Address(port=0), keyless=False) as listener, ours, TemporaryFile() as log:
        root = f"http://127.0.0.1:{listener.getsockname()[1]}"
        command = _command(config, listener.fileno(), theirs.fileno())
        # In a session of its own, since Ctrl-C is for the program, which may survive it.
        process = subprocess.Popen(  # noqa: S603 -- this interpreter and this package
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**environ, "TURNOUT_KEYS": keys},
            pass_fds=(listener.fileno(), theirs.fileno()),
            start_new_session=True,
        )
        theirs.close()
        try:
            if not _wait_until_serving(process, ours):
                reason = _last_log_line(log)
                hint = _BUSY_HINT if _BUSY_TEXT in reason else ""
                raise ConfigError(f"the gateway did not start: {reason}{hint}")
            yield root, key
            if process.poll() is not None:
                sys.stderr.write(f"turnout: the gateway has ended: {_last_log_line(log)}\n")
        finally:
            stop_process(process, _END_S)


def _command(config: Path | None, listener: int, parent: int) -> list[str]:
    command = [sys.executable, "-m", "turnout", "serve", "--log-level", "WARNING"]
    command += ["--drain-s", str(_DRAIN_S), "--fd", str(listener), "--parent-fd", str(parent)]
    return command if config is None else [*command, "--config", str(config)]


def _wait_until_serving(process: "subprocess.Popen[bytes]", link: socket.socket) -> bool:
    """Waits until the process says that it serves. Returns whether it did."""
    deadline, received = time.monotonic() + _START_S, b""
    while process.poll() is None and time.monotonic() < deadline:
        if select.select([link], [], [], _POLL_S)[0]:
            received += link.recv(_READ_BYTES)
            if SERVING in received.split(b"\n"):
                return True
    return False


def _last_log_line(log: IO[bytes]) -> str:
    """The last line of the log."""
    log.seek(max(0, log.seek(0, os.SEEK_END) - _READ_BYTES))
    last = log.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
    return last.removeprefix("turnout: ")


async def _get(url: str, key: str) -> tuple[int, bytes]:
    """Status and body of a GET; 0 where nobody answers."""
    headers = {"Authorization": f"Bearer {key}"}
    request = WireRequest(url=url, body=b"", headers=headers, method="GET")
    transport = HttpTransport()
    try:
        response = await transport.send(request, Timeouts(connect_s=1.0, total_s=3.0))
        return response.status, await read_all(response)
    except TransportError:
        return 0, b""
    finally:
        await transport.aclose()


def _is_ours(body: bytes) -> bool:
    try:
        return bool(orjson.loads(body)["info"]["title"] == "Turnout")
    except (ValueError, KeyError, TypeError):
        return False
