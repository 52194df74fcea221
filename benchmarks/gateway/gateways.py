"""Starts the gateways that are measured, each on a free port in front of the canned upstream.

A gateway is a context manager that yields ``Started``; others are in modules of their own.
"""

import os
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.gateway.measure import process

CONFIG = """
providers: {canned: {base_url: "http://127.0.0.1:%d/v1", api_key: none-needed}}
provider: canned
models:
  fast: {model: m/fast, price: {input: 0.27, output: 0.40}}
  coder: {model: m/coder, price: {input: 0.3, output: 1}}
  strong: {model: m/strong, price: {input: 3, output: 15}}
  paced: {model: m/paced, price: {input: 3, output: 15}}
intents: {simple_qa: fast, creative: strong, code: coder, unsafe: block}
default: fast
"""
# Requests that name a model pass unread; and the default ledger, in a new folder here.
UNREAD = 'ledger: "off"\nsafety: {pinned: pass}\n'
LEDGER = "safety: {pinned: scan}\n"


@dataclass(frozen=True, kw_only=True)
class Started:
    """A gateway that answers. ``models`` maps a case (pinned, routed, paced) to a model's name."""

    name: str
    pid: int
    port: int
    models: dict[str, str]
    path: str = "/v1/chat/completions"
    headers: dict[str, str] = field(default_factory=dict)
    start_s: float = 0.0
    peer: bool = False


@contextmanager
def turnout(
    upstream: int,
    *,
    name: str = "turnout",
    extra: str = "",
    config: str = CONFIG,
    workers: int = 1,
    core: int | None = None,
    under: Sequence[str] = (),
) -> Iterator[Started]:
    """``turnout serve``; ``extra`` is more configuration, by default without a ledger."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "turnout.yaml")
        file.write_text(config % upstream + (extra or 'ledger: "off"\n'), encoding="utf-8")
        state_environ = {
            "TURNOUT_STATE_DIR": folder,
            "XDG_DATA_HOME": folder,
            "OMP_NUM_THREADS": "1",
        }
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        arguments = ["serve", "--config", str(file), "--port", "0", "--log-level", "WARNING"]
        arguments += ["--workers", str(workers)] if workers > 1 else []
        started = time.perf_counter()
        with process(
            "turnout",
            *arguments,
            core=core,
            under=under,
            stderr=subprocess.PIPE,
            env={**environment, **state_environ},
        ) as served:
            line = ""
            while "serving on" not in line:
                line = served.stderr.readline()  # type: ignore[union-attr]
                if not line:
                    raise RuntimeError("turnout serve ended before it served")
            port = int(line.partition("127.0.0.1:")[2].partition("/")[0])
            _first_answer(port)
            yield Started(
                name=name,
                pid=served.pid,
                port=port,
                models={"pinned": "fast", "routed": "auto", "paced": "paced"},
                start_s=time.perf_counter() - started,
            )


def _first_answer(port: int) -> None:
    """Waits for the first answer of a model."""
    body = b'{"model":"auto","messages":[{"role":"user","content":"What is two and two?"}]}'
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    request = urllib.request.Request(url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        answer.read()


@contextmanager
def upstream(core: int | None = None) -> Iterator[int]:
    """The canned provider's port."""
    with process("benchmarks.gateway.upstream", core=core, stdout=subprocess.PIPE) as running:
        yield int(running.stdout.readline())  # type: ignore[union-attr]
