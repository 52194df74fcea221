"""How long small requests wait behind another caller's long prompt, and the memory it takes.

``python -m benchmarks.gateway.behind [--mb 1 --mb 5 --mb 25] [--kind WORD]... [--rounds 1]
[--no-pin]``. The gateway has one core, the upstream and the load another. Small requests
follow each other every 5 ms on one connection for as long as the long one takes: one that the first
stage settles, and one that needs the second. Each time is from sending the request to the end of
its answer.
"""

import argparse
import base64
import itertools
import json
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.gateway.gateways import CONFIG, Started, turnout, upstream
from benchmarks.machine import describe

# As many tokens as the longest prompt has.
_LARGE_WINDOW_CONFIG = CONFIG.replace("price:", "context_window: 100000000, price:")
EVERY_S = 0.005
_SMALL = {"sure": "What is two and two?", "unsure": "Make it nicer"}
_TEXT = (
    "the signal lever points rails morning station keeper writes down when each train came and "
    "what it carried because somebody will ask how many wagons stood on the third track at noon"
)
_WORDS = _TEXT.split()
_HAN = "信号员每天早上记录列车到达的时间以及它们运载的货物因为有人会问第三轨道上有多少车厢"


def _words(rng: random.Random, size: int) -> str:
    return _repeated(size, lambda: " ".join(rng.choices(_WORDS, k=12)).capitalize() + ". ")


def _line(rng: random.Random, size: int) -> str:
    return _repeated(size, lambda: "".join(rng.choices(_WORDS, k=12)))


def _base64(rng: random.Random, size: int) -> str:
    return base64.b64encode(rng.randbytes(size * 3 // 4)).decode()


def _chinese(rng: random.Random, size: int) -> str:
    return _repeated(size // 3, lambda: "".join(rng.choices(_HAN, k=20)) + "。")


def _logs(rng: random.Random, size: int) -> str:
    def line() -> str:
        message = " ".join(rng.choices(_WORDS, k=6))
        entry = {"ts": rng.random() * 1e9, "msg": message, "id": rng.randbytes(8).hex()}
        return json.dumps(entry) + "\n"

    return _repeated(size, line)


def _percent(rng: random.Random, size: int) -> str:
    return _repeated(size, lambda: quote(" ".join(rng.choices(_WORDS, k=6)) + "\n=&") + "%20")


def _zero_width(rng: random.Random, size: int) -> str:
    return _repeated(size // 2, lambda: "\u200b".join(" ".join(rng.choices(_WORDS, k=12)) + " "))


def _repeated(characters: int, make_part: Callable[[], str]) -> str:
    parts, length = [], 0
    while length < characters:
        parts.append(make_part())
        length += len(parts[-1])
    return "".join(parts)[:characters]


KINDS: dict[str, Callable[[random.Random, int], str]] = {
    "words": _words,
    "line": _line,
    "base64": _base64,
    "chinese": _chinese,
    "logs": _logs,
    "percent": _percent,
    "unseen": _zero_width,
}


def http_request(text: str, model: str) -> bytes:
    """A request for a gateway, head and body."""
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    data = json.dumps(body, ensure_ascii=False).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n"
    return (head % len(data)).encode() + data


def send_and_read(link: socket.socket, data: bytes) -> int:
    """The status of the answer to ``data``, read to its end."""
    link.sendall(data)
    received = b""
    while b"\r\n\r\n" not in received:
        piece = link.recv(65536)
        if not piece:
            raise ConnectionError("the gateway closed the connection")
        received += piece
    head, _, rest = received.partition(b"\r\n\r\n")
    missing_bytes = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]) - len(rest)
    while missing_bytes > 0:
        missing_bytes -= len(link.recv(65536))
    return int(head.split(b" ", 2)[1])


def latencies_beside(served: Started, text: str) -> dict[str, float]:
    """Milliseconds of small requests while ``text`` is answered, and how much memory it took."""
    # Plain sockets: an event loop would affect the times that it measures.
    large_request = http_request(text, "auto")
    answered: list[float] = []

    def send_large() -> None:
        with _connect(served) as link:
            started = time.perf_counter()
            answered.append(send_and_read(link, large_request))
            answered.append(time.perf_counter() - started)

    thread = threading.Thread(target=send_large)
    times: dict[str, list[float]] = {name: [] for name in _SMALL}
    with _connect(served) as link, peak(served) as grown_so_far:
        for _ in range(20):
            _time_small_requests(link, times)
        times = {name: [] for name in _SMALL}
        thread.start()
        while thread.is_alive():
            _time_small_requests(link, times)
        thread.join()
        grown_mb = grown_so_far()
    worst = {f"worst {name} ms": max(results, default=0.0) for name, results in times.items()}
    every = sorted(itertools.chain(*times.values()))
    return {
        "status": answered[0],
        **worst,
        "p99 ms": every[len(every) * 99 // 100],
        "p50 ms": every[len(every) // 2],
        "long s": answered[1],
        "grown MB": grown_mb,
    }


def _time_small_requests(link: socket.socket, times: dict[str, list[float]]) -> None:
    """One of each small request, and the milliseconds that it took."""
    for name, text in _SMALL.items():
        started = time.perf_counter()
        send_and_read(link, http_request(text, "auto"))
        took_s = time.perf_counter() - started
        times[name].append(took_s * 1e3)
        time.sleep(max(0.0, EVERY_S - took_s))


def _connect(served: Started) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), timeout=600)


@contextmanager
def peak(served: Started) -> Iterator[Callable[[], float]]:
    """The most MB by which the process grew."""
    proc = Path(f"/proc/{served.pid}")
    (proc / "clear_refs").write_text("5", encoding="ascii")

    def resident(name: str) -> float:
        text = (proc / "status").read_text(encoding="ascii")
        return int(text.partition(f"{name}:")[2].split()[0]) / 1024

    before = resident("VmRSS")
    yield lambda: resident("VmHWM") - before


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=float, action="append")
    parser.add_argument("--kind", action="append", choices=list(KINDS))
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--no-pin", action="store_true")
    options = parser.parse_args()
    gateway_core, upstream_core = (None, None) if options.no_pin else (0, 1)
    with (
        upstream(core=upstream_core) as port,
        turnout(port, config=_LARGE_WINDOW_CONFIG, core=gateway_core) as served,
    ):
        results = [
            _print_row(
                kind,
                mb,
                latencies_beside(served, KINDS[kind](random.Random(number), int(mb * 1e6))),
            )
            for number in range(options.rounds)
            for mb in options.mb or (1, 5, 25)
            for kind in options.kind or KINDS
        ]
    print(json.dumps({"machine": describe("numpy", "orjson"), "found": results}))


def _print_row(kind: str, mb: float, figures: dict[str, float]) -> dict[str, Any]:
    line = {"kind": kind, "mb": mb, **{k: round(v, 1) for k, v in figures.items()}}
    print(json.dumps(line), file=sys.stderr, flush=True)
    return line


if __name__ == "__main__":
    main()
