"""What the gateway adds to a call: CPU, latency and memory, beside the upstream asked directly.

``python -m benchmarks.gateway [--seconds 3] [--rounds 3] [--json]``. The upstream is a canned
answer on a socket and the load comes from keep-alive connections in a closed loop, each a process
of its own; rounds of all cases are interleaved, and the median over rounds is reported. CPU is the
gateway's user and system time from /proc, so a slow load generator does not distort it. Other
gateways are not started here: figures of theirs are in design notes, taken elsewhere.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from benchmarks.machine import describe

# The classifier's first stage settles the one; the other needs its second stage, too.
SETTLED = "What is the capital of Japan?"
UNSURE = "Please write a Python function that reads a CSV file with a header row and returns a "
UNSURE += "list of dictionaries, one for each row, skipping empty lines and stripping spaces."
CONFIG = """
providers: {canned: {base_url: "http://127.0.0.1:%d/v1", api_key: none-needed}}
provider: canned
models:
  fast: {model: m/fast, price: {input: 0.27, output: 0.40}}
  coder: {model: m/coder, price: {input: 0.3, output: 1}}
  strong: {model: m/strong, price: {input: 3, output: 15}}
intents: {simple_qa: fast, creative: strong, code: coder, unsafe: block}
default: fast
ledger: "off"
"""
TICK = os.sysconf("SC_CLK_TCK")
EVENTS = 50


def body(model: str, prompt: str, *, stream: bool) -> bytes:
    """A chat request."""
    message = {"role": "user", "content": prompt}
    return json.dumps({"model": model, "messages": [message], "stream": stream}).encode()


class Canned(asyncio.Protocol):
    """Answers every request with the same bytes."""

    def __init__(self) -> None:
        usage = {"prompt_tokens": 40, "completion_tokens": EVENTS, "total_tokens": 40 + EVENTS}
        base = {"id": "c", "created": 1, "model": "m/coder"}
        message = {"role": "assistant", "content": " signal lever points rails" * 12}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole = {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
        text = json.dumps(whole).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        self._whole = head % len(text) + text
        self._stream = self._streamed(base, usage)
        self._seen = b""

    def _streamed(self, base: dict[str, object], usage: dict[str, int]) -> bytes:
        events = [
            {"choices": [{"index": 0, "delta": {"content": " word"}, "finish_reason": None}]}
        ] * EVENTS
        events += [{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
        events += [{"choices": [], "usage": usage}]
        kind = "chat.completion.chunk"
        texts = [f"data: {json.dumps({**base, 'object': kind, **e})}\n\n".encode() for e in events]
        pieces = b"".join(b"%x\r\n%b\r\n" % (len(t), t) for t in [*texts, b"data: [DONE]\n\n"])
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + pieces + b"0\r\n\r\n"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answers each whole request."""
        self._seen += data
        while b"\r\n\r\n" in self._seen:
            head, _, rest = self._seen.partition(b"\r\n\r\n")
            lower = head.lower()
            length = int(lower.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
            if len(rest) < length:
                return
            streamed = b'"stream":true' in rest[:length] or b'"stream": true' in rest[:length]
            self._transport.write(self._stream if streamed else self._whole)  # type: ignore[attr-defined]
            self._seen = rest[length:]


async def upstream(port: int) -> None:
    """Serves canned answers for ever."""
    server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Client(asyncio.Protocol):
    """One keep-alive connection that asks again as soon as it is answered."""

    def __init__(self, request: bytes, until: float, *, stream: bool) -> None:
        self._request = request
        self._until = until
        self._stream = stream
        self._seen = bytearray()
        self.done = asyncio.get_running_loop().create_future()
        self.latencies: list[float] = []
        self.failed = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asks the first time."""
        self._transport = transport
        self._ask()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends."""
        del exc
        if not self.done.done():
            self.done.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Notes whole answers."""
        self._seen += data
        if not self._whole():
            return
        self.latencies.append(time.perf_counter() - self._started)
        self.failed += not self._seen.startswith(b"HTTP/1.1 200")
        self._seen.clear()
        if time.perf_counter() < self._until:
            self._ask()
        else:
            self._transport.close()

    def _ask(self) -> None:
        self._started = time.perf_counter()
        self._transport.write(self._request)  # type: ignore[attr-defined]

    def _whole(self) -> bool:
        if self._stream:
            return self._seen.endswith(b"0\r\n\r\n")
        head, found, rest = bytes(self._seen).partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        return bool(found) and len(rest) >= int(length or 0)


async def load(
    port: int, request: bytes, connections: int, seconds: float, *, stream: bool
) -> None:
    """Loads a port and prints how many answers came, how many failed, and the latencies."""
    until = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(
            lambda: Client(request, until, stream=stream), "127.0.0.1", port
        )
        clients.append(client)
    await asyncio.gather(*(client.done for client in clients))
    latencies = sorted(x for client in clients for x in client.latencies)
    print(
        json.dumps(
            {
                "answers": len(latencies),
                "failed": sum(client.failed for client in clients),
                "p50_ms": latencies[len(latencies) // 2] * 1e3,
                "p99_ms": latencies[len(latencies) * 99 // 100] * 1e3,
            }
        )
    )


def cpu_s(pid: int) -> float:
    """User and system seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def rss_mb(pid: int) -> float:
    """Resident memory of a process."""
    text = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(text.partition("VmRSS:")[2].split()[0]) / 1024


def one(case: tuple[str, str, bool, int], ports: dict[str, int], pid: int, seconds: float) -> dict:
    """One round of one case."""
    name, model, stream, connections = case
    port = ports["direct" if name == "direct" else "gateway"]
    text = body(model, UNSURE if name == "unsure" else SETTLED, stream=stream)
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n"
    before, started = cpu_s(pid), time.perf_counter()
    arguments = ["--load", str(port), str(connections), str(seconds), str(int(stream))]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gateway", *arguments],
        input=head.encode() + text,
        capture_output=True,
        check=True,
    )
    took, used = time.perf_counter() - started, cpu_s(pid) - before
    found = json.loads(done.stdout)
    found["rps"] = found["answers"] / min(took, seconds)
    found["cpu_us"] = 0.0 if name == "direct" else used / found["answers"] * 1e6
    return found


CASES = [
    (name, model, stream, connections)
    for stream in (False, True)
    for connections in (1, 64)
    for name, model in (
        ("direct", "m/fast"),
        ("pinned", "fast"),
        ("routed", "auto"),
        ("unsure", "auto"),
    )
]


def measure(seconds: float, rounds: int) -> dict[str, object]:
    """All cases, interleaved; medians over rounds."""
    with tempfile.TemporaryDirectory() as place:
        environment = {**os.environ, "TURNOUT_STATE_DIR": place}
        up = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.gateway", "--upstream", "0"], stdout=subprocess.PIPE
        )
        direct = int(up.stdout.readline())  # type: ignore[union-attr]
        config = Path(place, "turnout.yaml")
        config.write_text(CONFIG % direct, encoding="utf-8")
        started = time.perf_counter()
        command = ["serve", "--config", str(config), "--port", "0", "--log-level", "WARNING"]
        served = subprocess.Popen(
            [sys.executable, "-m", "turnout", *command],
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
        )
        line = ""
        while "serving on" not in line:
            line = served.stderr.readline()  # type: ignore[union-attr]
        port = int(line.partition("127.0.0.1:")[2].partition("/")[0])
        urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz").read()
        start_s = time.perf_counter() - started
        at_start = rss_mb(served.pid)
        ports = {"direct": direct, "gateway": port}
        try:
            runs: dict[tuple[str, str, bool, int], list[dict]] = {case: [] for case in CASES}
            for _ in range(rounds):
                for case in CASES:
                    runs[case].append(one(case, ports, served.pid, seconds))
            memory = rss_mb(served.pid)
        finally:
            served.terminate()
            up.terminate()
            served.wait()
    rows = []
    for (name, _, stream, connections), found in runs.items():
        middle = {k: statistics.median(f[k] for f in found) for k in found[0]}
        rows.append({"case": name, "stream": stream, "connections": connections, **middle})
    return {
        "machine": describe("uvicorn", "uvloop", "httptools", "aiohttp", "orjson"),
        "start_to_first_answer_s": round(start_s, 2),
        "rss_mb_at_start": round(at_start, 1),
        "rss_mb_after": round(memory, 1),
        "rows": rows,
    }


def show(report: dict) -> None:
    """The table."""
    for name in ("machine", "start_to_first_answer_s", "rss_mb_at_start", "rss_mb_after"):
        print(f"{name}: {report[name]}")
    print(
        f"{'case':8} {'stream':6} {'conn':>4} {'req/s':>8} {'p50 ms':>8} {'p99 ms':>8} "
        f"{'CPU us':>8} {'failed':>6}"
    )
    for r in report["rows"]:
        print(
            f"{r['case']:8} {r['stream']!s:6} {r['connections']:4} {r['rps']:8.0f} "
            f"{r['p50_ms']:8.2f} {r['p99_ms']:8.2f} {r['cpu_us']:8.0f} {r['failed']:6.0f}"
        )


def main() -> None:
    """Measures, or plays one of the parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--upstream", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--load", nargs=4, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.upstream is not None or given.load:
        import uvloop

        if given.load:
            port, connections, seconds, stream = given.load
            request = sys.stdin.buffer.read()
            work = load(int(port), request, int(connections), float(seconds), stream=stream == "1")
            uvloop.run(work)
        else:
            uvloop.run(upstream(given.upstream))
        return
    report = measure(given.seconds, given.rounds)
    if given.json:
        print(json.dumps(report, indent=2))
    else:
        show(report)


if __name__ == "__main__":
    main()
