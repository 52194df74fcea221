"""``turnout serve`` as a process of its own, for tests that need the real gateway.

Invariant: the process ends with the context; its state and its ledger stay in a folder of its own.
This module does not know what the gateway answers.
"""

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from turnout.core.stop_process import stop_process

_SERVING_LINE = re.compile(r"serving on https?://[^/]*:(\d+)/v1")
_START_S = 60.0
_END_S = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A running gateway: its port, its process, and the files that it reads and writes."""

    port: int
    process: "subprocess.Popen[bytes]"
    config_path: Path
    log_path: Path

    @property
    def root(self) -> str:
        """The address without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base_url(self) -> str:
        """The base URL for an OpenAI client."""
        return f"{self.root}/v1"

    def log(self) -> str:
        """Everything that it has logged."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def rss_bytes(self) -> int:
        """Resident memory of the process that listens (not of its workers)."""
        text = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(text.partition("VmRSS:")[2].split()[0]) * 1024

    def descriptors(self) -> int:
        """How many files and sockets the process holds open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


@contextmanager
def serving(
    config: Mapping[str, Any],
    *,
    options: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    program: Sequence[str] = ("turnout",),
) -> Iterator[Served]:
    """Runs ``turnout serve`` with this configuration until the context ends.

    It has no ledger unless ``config`` names one; ``program`` is the module to run, with the
    arguments before ``serve``. Raises RuntimeError with the process's output if it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="turnout-serve-") as name:
        folder = Path(name)
        path, log = folder / "turnout.yaml", folder / "log"
        path.write_text(yaml.safe_dump({"ledger": "off", **config}), encoding="utf-8")
        command = [sys.executable, "-m", *program, "serve", "--config", str(path)]
        command += ["--port", "0", *options]
        state_environ = {
            "TURNOUT_STATE_DIR": name,
            "XDG_DATA_HOME": name,
            "NO_COLOR": "1",
            "COLUMNS": "200",
        }
        with log.open("wb") as out:
            process = subprocess.Popen(  # noqa: S603 -- this interpreter and this package
                command,
                stdout=out,
                stderr=out,
                env={**os.environ, **state_environ, **(environ or {})},
            )
        try:
            port = _wait_for_port(process, log)
            yield Served(port=port, process=process, config_path=path, log_path=log)
        finally:
            stop_process(process, _END_S)


def _wait_for_port(process: "subprocess.Popen[bytes]", log: Path) -> int:
    """The port it listens on, once it answers there."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        text = log.read_text(encoding="utf-8", errors="replace")
        if (match := _SERVING_LINE.search(text)) and _is_healthy(
            int(match[1]), tls="https://" in match[0]
        ):
            return int(match[1])
        time.sleep(0.02)
    raise RuntimeError(f"turnout serve did not come up: {log.read_text(encoding='utf-8')[-2000:]}")


def _is_healthy(port: int, *, tls: bool) -> bool:
    """Whether it answers; behind TLS it is enough that it listens."""
    import http.client

    link = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_S)
    try:
        link.connect()
        if tls:
            return True
        link.request("GET", "/healthz")
        return link.getresponse().status == 200
    except OSError:
        return False
    finally:
        link.close()
