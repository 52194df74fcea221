"""Other gateways in front of the same canned upstream, each installed by this benchmark.

Environments are in the user's cache folder, one per peer and version, and are made once. A peer
that cannot be installed raises ``NotRun`` with the reason. Each runs one worker on one core, with
logging, telemetry and stores off, as its own documentation advises for production.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.gateway.gateways import Started
from benchmarks.gateway.measure import pinned

_START_S = 120.0
_PORTKEY_PATCH = (
    "this.updateHeaders(i,n.cacheStatus,o),{response:i",
    "this.updateHeaders(i=new Response(i.body,i),n.cacheStatus,o),{response:i",
)


class NotRun(Exception):
    """A peer cannot be installed or started here; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """How a gateway is installed and started. ``note`` is printed beside its figures.

    One with ``chooses_port`` writes its port to a file of that name.
    """

    name: str
    version: str
    install: Callable[[Path], None]
    command: Callable[[Path, Path, int, int], list[str]]
    environ: Mapping[str, str] = field(default_factory=dict)
    path: str = "/v1/chat/completions"
    model: str = "{name}"
    headers: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    chooses_port: bool = False

    @property
    def folder(self) -> Path:
        """Where it is installed."""
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        return Path(base, "turnout", "peers", f"{self.name}-{self.version}")

    def ensure(self) -> Path:
        """Installs it unless it is there. Raises NotRun."""
        ready = self.folder / "ready"
        if not ready.exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            self.install(self.folder)
            ready.touch()
        return self.folder


@contextmanager
def started(peer: Peer, upstream: int, port: int, core: int | None = None) -> Iterator[Started]:
    """The peer on ``port`` in front of ``upstream``. Raises NotRun."""
    folder = peer.ensure()
    models = {"pinned": "m/fast", "routed": "m/fast", "paced": "m/paced"}
    served = Started(
        name=peer.name,
        pid=0,
        port=port,
        models={k: peer.model.format(name=model) for k, model in models.items()},
        path=peer.path,
        headers={k: v.format(upstream=upstream) for k, v in peer.headers.items()},
        peer=True,
    )
    with tempfile.TemporaryDirectory(prefix="turnout-peer-") as name:
        run_dir = Path(name)
        run_dir.chmod(0o755)  # nginx's worker runs as another user
        environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        with (run_dir / "log").open("wb") as log:
            started_at = time.perf_counter()
            process = subprocess.Popen(
                [*pinned(core), *peer.command(folder, run_dir, upstream, port)],
                stdout=log,
                stderr=log,
                env={**environ, **peer.environ},
                cwd=run_dir,
                start_new_session=True,
            )
            try:
                if peer.chooses_port:
                    served = replace(served, port=_chosen_port(run_dir / "port", process))
                _first_answer(served, process, run_dir / "log")
                start_s = time.perf_counter() - started_at
                yield replace(served, pid=process.pid, start_s=start_s)
            finally:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                if process.poll() is None:
                    process.kill()
                    process.wait()


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _chosen_port(path: Path, process: "subprocess.Popen[bytes]") -> int:
    """The port that the peer has chosen and written down."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists() and (text := path.read_text(encoding="ascii")):
            return int(text)
        time.sleep(0.02)
    raise NotRun("it never said on which port it listens")


def _first_answer(served: Started, process: "subprocess.Popen[bytes]", log: Path) -> None:
    body_fields = {
        "model": served.models["pinned"],
        "messages": [{"role": "user", "content": "hi"}],
    }
    body = json.dumps(body_fields)
    url = f"http://127.0.0.1:{served.port}{served.path}"
    headers = {"content-type": "application/json", **served.headers}
    request = urllib.request.Request(url, body.encode(), headers)
    deadline = time.monotonic() + _START_S
    problem: object = "no answer"
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 -- loopback
                answer.read()
                return
        except OSError as error:
            problem = error
            time.sleep(0.05)
    last_lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    raise NotRun(f"{served.name} did not answer: {problem}; {' '.join(last_lines)[:200]}")


def _pip(*packages: str) -> Callable[[Path], None]:
    def install(folder: Path) -> None:
        uv = Path(sys.executable).with_name("uv")
        _run_command(
            [str(uv), "venv", "--quiet", "--clear", str(folder), "--python", sys.executable]
        )
        python = str(folder / "bin" / "python")
        _run_command(
            [str(uv), "pip", "install", "--quiet", "--no-build", "--python", python, *packages]
        )

    return install


def _portkey(folder: Path) -> None:
    if shutil.which("npm") is None:
        raise NotRun("portkey needs node and npm")
    package = "@portkey-ai/gateway@1.15.2"
    _run_command(
        ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), package]
    )
    script = folder / "node_modules/@portkey-ai/gateway/build/start-server.js"
    text = script.read_text(encoding="utf-8")
    if text.count(_PORTKEY_PATCH[0]) != 1:
        raise NotRun("portkey is not the version whose streams can be mended")
    script.write_text(text.replace(*_PORTKEY_PATCH), encoding="utf-8")


def _nginx(folder: Path) -> None:
    del folder
    if _nginx_path() is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _run_command(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "nginx-light"])
    if _nginx_path() is None:
        raise NotRun("nginx is not installed: apt-get install nginx-light")


def _nginx_path() -> str | None:
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")


def _run_command(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotRun(f"{command[0]} failed: {done.stderr.strip()[-300:]}")


def _litellm_command(folder: Path, run_dir: Path, upstream: int, port: int) -> list[str]:
    models = "".join(
        f"  - model_name: {name}\n    litellm_params: {{model: openai/{name}, "
        f'api_base: "http://127.0.0.1:{upstream}/v1", api_key: none-needed}}\n'
        for name in ("m/fast", "m/paced")
    )
    config = run_dir / "litellm.yaml"
    # Without a key, like the others here; this has to be set explicitly.
    more = "general_settings: {dangerously_permit_weak_or_unset_master_key: true}\n"
    more += "litellm_settings: {telemetry: false}\n"
    config.write_text(f"model_list:\n{models}{more}", "utf-8")
    command = [str(folder / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1"]
    return [*command, "--port", str(port), "--num_workers", "1", "--telemetry", "False"]


_TENSORZERO = """
import sys, time, urllib.parse
from tensorzero.tensorzero import _start_http_gateway
gateway = _start_http_gateway(config_file=sys.argv[1], clickhouse_url=None, postgres_url=None,
                              valkey_url=None, async_setup=False)
open(sys.argv[2], "w").write(str(urllib.parse.urlsplit(gateway.base_url).port))
time.sleep(10**6)
"""


def _tensorzero_command(folder: Path, run_dir: Path, upstream: int, port: int) -> list[str]:
    models = "".join(
        f'[models."{name}"]\nrouting = ["canned"]\n[models."{name}".providers.canned]\n'
        f'type = "openai"\nmodel_name = "{name}"\napi_key_location = "none"\n'
        f'api_base = "http://127.0.0.1:{upstream}/v1/"\n'
        for name in ("m/fast", "m/paced")
    )
    del port
    gateway = "[gateway]\nobservability.enabled = false\n"
    config = run_dir / "tensorzero.toml"
    config.write_text(gateway + models, encoding="utf-8")
    script = run_dir / "start.py"
    script.write_text(_TENSORZERO, encoding="utf-8")
    return [str(folder / "bin" / "python"), str(script), str(config), str(run_dir / "port")]


def _vllm_command(folder: Path, run_dir: Path, upstream: int, port: int) -> list[str]:
    del run_dir
    command = [str(folder / "bin" / "vllm-router"), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--worker-urls", f"http://127.0.0.1:{upstream}", "--policy", "round_robin"]
    return [*command, "--log-level", "error", "--max-concurrent-requests", "4096"]


def _portkey_command(folder: Path, run_dir: Path, upstream: int, port: int) -> list[str]:
    del run_dir, upstream
    script = folder / "node_modules/@portkey-ai/gateway/build/start-server.js"
    return ["node", str(script), f"--port={port}", "--headless"]


def _nginx_command(folder: Path, run_dir: Path, upstream: int, port: int) -> list[str]:
    del folder
    config = run_dir / "nginx.conf"
    config.write_text(
        f"""
daemon off; pid {run_dir}/pid; error_log {run_dir}/error crit; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_max_body_size 10m; client_body_buffer_size 256k;
  keepalive_requests 1000000;
  client_body_temp_path {run_dir}/a; proxy_temp_path {run_dir}/b; fastcgi_temp_path {run_dir}/c;
  uwsgi_temp_path {run_dir}/d; scgi_temp_path {run_dir}/e;
  upstream up {{ server 127.0.0.1:{upstream}; keepalive 512; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=2048;
    location / {{
      proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
""",
        encoding="utf-8",
    )
    return [_nginx_path() or "nginx", "-c", str(config), "-p", str(run_dir)]


_QUIET = {"RUST_LOG": "error", "TOKIO_WORKER_THREADS": "1"}
PEERS = (
    Peer(
        name="nginx",
        version="apt",
        install=_nginx,
        command=_nginx_command,
        note="forwards bytes and reads none: the practical limit",
    ),
    Peer(
        name="vllm-router",
        version="0.1.17",
        install=_pip("vllm-router==0.1.17"),
        command=_vllm_command,
        environ=_QUIET,
    ),
    Peer(
        name="tensorzero",
        version="2026.6.0",
        install=_pip("tensorzero==2026.6.0"),
        command=_tensorzero_command,
        environ=_QUIET,
        path="/openai/v1/chat/completions",
        model="tensorzero::model_name::{name}",
        note="the gateway inside its wheel, without its store",
        chooses_port=True,
    ),
    Peer(
        name="portkey",
        version="1.15.2",
        install=_portkey,
        command=_portkey_command,
        environ={"TRUSTED_CUSTOM_HOSTS": "127.0.0.1"},
        headers={
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": "http://127.0.0.1:{upstream}/v1",
        },
        note="one expression mended, without which its streams answer 500 on Node 20",
    ),
    Peer(
        name="litellm",
        version="1.106.2",
        install=_pip("litellm[proxy,proxy-runtime]==1.106.2"),
        command=_litellm_command,
        environ={
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "LITELLM_MODE": "PRODUCTION",
        },
    ),
)
