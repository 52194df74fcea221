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
    def place(self) -> Path:
        """Where it is installed."""
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        return Path(base, "turnout", "peers", f"{self.name}-{self.version}")

    def ensure(self) -> Path:
        """Installs it unless it is there. Raises NotRun."""
        ready = self.place / "ready"
        if not ready.exists():
            shutil.rmtree(self.place, ignore_errors=True)
            self.place.mkdir(parents=True)
            self.install(self.place)
            ready.touch()
        return self.place


@contextmanager
def started(peer: Peer, upstream: int, port: int, core: int | None = None) -> Iterator[Started]:
    """The peer on ``port`` in front of ``upstream``. Raises NotRun."""
    place = peer.ensure()
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
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker runs as another user
        environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        with (folder / "log").open("wb") as log:
            began = time.perf_counter()
            running = subprocess.Popen(
                [*pinned(core), *peer.command(place, folder, upstream, port)],
                stdout=log,
                stderr=log,
                env={**environ, **peer.environ},
                cwd=folder,
                start_new_session=True,
            )
            try:
                if peer.chooses_port:
                    served = replace(served, port=_chosen(folder / "port", running))
                _first_answer(served, running, folder / "log")
                took = time.perf_counter() - began
                yield replace(served, pid=running.pid, start_s=took)
            finally:
                running.terminate()
                with suppress(subprocess.TimeoutExpired):
                    running.wait(10)
                if running.poll() is None:
                    running.kill()
                    running.wait()


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _chosen(path: Path, running: "subprocess.Popen[bytes]") -> int:
    """The port that the peer has chosen and written down."""
    until = time.monotonic() + _START_S
    while time.monotonic() < until and running.poll() is None:
        if path.exists() and (text := path.read_text(encoding="ascii")):
            return int(text)
        time.sleep(0.02)
    raise NotRun("it never said on which port it listens")


def _first_answer(served: Started, running: "subprocess.Popen[bytes]", log: Path) -> None:
    asking = {"model": served.models["pinned"], "messages": [{"role": "user", "content": "hi"}]}
    body = json.dumps(asking)
    url = f"http://127.0.0.1:{served.port}{served.path}"
    headers = {"content-type": "application/json", **served.headers}
    asked = urllib.request.Request(url, body.encode(), headers)
    until = time.monotonic() + _START_S
    why: object = "no answer"
    while time.monotonic() < until and running.poll() is None:
        try:
            with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310 -- loopback
                answer.read()
                return
        except OSError as error:
            why = error
            time.sleep(0.05)
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
    raise NotRun(f"{served.name} did not answer: {why}; {' '.join(said)[:200]}")


def _pip(*packages: str) -> Callable[[Path], None]:
    def install(place: Path) -> None:
        uv = Path(sys.executable).with_name("uv")
        _do([str(uv), "venv", "--quiet", "--clear", str(place), "--python", sys.executable])
        python = str(place / "bin" / "python")
        _do([str(uv), "pip", "install", "--quiet", "--no-build", "--python", python, *packages])

    return install


def _portkey(place: Path) -> None:
    if shutil.which("npm") is None:
        raise NotRun("portkey needs node and npm")
    package = "@portkey-ai/gateway@1.15.2"
    _do(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(place), package])
    script = place / "node_modules/@portkey-ai/gateway/build/start-server.js"
    text = script.read_text(encoding="utf-8")
    if text.count(_PORTKEY_PATCH[0]) != 1:
        raise NotRun("portkey is not the version whose streams can be mended")
    script.write_text(text.replace(*_PORTKEY_PATCH), encoding="utf-8")


def _nginx(place: Path) -> None:
    del place
    if _nginx_path() is None and os.geteuid() == 0 and shutil.which("apt-get"):
        _do(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "nginx-light"])
    if _nginx_path() is None:
        raise NotRun("nginx is not installed: apt-get install nginx-light")


def _nginx_path() -> str | None:
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")


def _do(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotRun(f"{command[0]} failed: {done.stderr.strip()[-300:]}")


def _litellm_command(place: Path, folder: Path, upstream: int, port: int) -> list[str]:
    models = "".join(
        f"  - model_name: {name}\n    litellm_params: {{model: openai/{name}, "
        f'api_base: "http://127.0.0.1:{upstream}/v1", api_key: none-needed}}\n'
        for name in ("m/fast", "m/paced")
    )
    config = folder / "litellm.yaml"
    # Without a key, like the others here; this has to be set explicitly.
    more = "general_settings: {dangerously_permit_weak_or_unset_master_key: true}\n"
    more += "litellm_settings: {telemetry: false}\n"
    config.write_text(f"model_list:\n{models}{more}", "utf-8")
    command = [str(place / "bin" / "litellm"), "--config", str(config), "--host", "127.0.0.1"]
    return [*command, "--port", str(port), "--num_workers", "1", "--telemetry", "False"]


_TENSORZERO = """
import sys, time, urllib.parse
from tensorzero.tensorzero import _start_http_gateway
gateway = _start_http_gateway(config_file=sys.argv[1], clickhouse_url=None, postgres_url=None,
                              valkey_url=None, async_setup=False)
open(sys.argv[2], "w").write(str(urllib.parse.urlsplit(gateway.base_url).port))
time.sleep(10**6)
"""


def _tensorzero_command(place: Path, folder: Path, upstream: int, port: int) -> list[str]:
    models = "".join(
        f'[models."{name}"]\nrouting = ["canned"]\n[models."{name}".providers.canned]\n'
        f'type = "openai"\nmodel_name = "{name}"\napi_key_location = "none"\n'
        f'api_base = "http://127.0.0.1:{upstream}/v1/"\n'
        for name in ("m/fast", "m/paced")
    )
    del port
    gateway = "[gateway]\nobservability.enabled = false\n"
    config = folder / "tensorzero.toml"
    config.write_text(gateway + models, encoding="utf-8")
    script = folder / "start.py"
    script.write_text(_TENSORZERO, encoding="utf-8")
    return [str(place / "bin" / "python"), str(script), str(config), str(folder / "port")]


def _vllm_command(place: Path, folder: Path, upstream: int, port: int) -> list[str]:
    del folder
    command = [str(place / "bin" / "vllm-router"), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--worker-urls", f"http://127.0.0.1:{upstream}", "--policy", "round_robin"]
    return [*command, "--log-level", "error", "--max-concurrent-requests", "4096"]


def _portkey_command(place: Path, folder: Path, upstream: int, port: int) -> list[str]:
    del folder, upstream
    script = place / "node_modules/@portkey-ai/gateway/build/start-server.js"
    return ["node", str(script), f"--port={port}", "--headless"]


def _nginx_command(place: Path, folder: Path, upstream: int, port: int) -> list[str]:
    del place
    config = folder / "nginx.conf"
    config.write_text(
        f"""
daemon off; pid {folder}/pid; error_log {folder}/error crit; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_max_body_size 10m; client_body_buffer_size 256k;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
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
    return [_nginx_path() or "nginx", "-c", str(config), "-p", str(folder)]


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
