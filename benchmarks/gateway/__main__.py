"""Measures Turnout's gateway, compared with direct calls to the upstream.

``python -m benchmarks.gateway [--seconds 2] [--rounds 3] [--case WORD]... [--peers all]
[--out FILE] [--plot FILE] [--no-pin] [--json]``. The gateway has one core, the upstream
and the load another; rounds of all cases are interleaved, and medians over rounds are reported with
the lowest and the highest CPU time. ``--peers`` adds other gateways, which it first installs into
the user's cache folder; those that cannot be installed are listed as NOT RUN.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.gateway import measure
from benchmarks.gateway.cases import CASES, Case
from benchmarks.gateway.gateways import LEDGER, UNREAD, Started, turnout, upstream
from benchmarks.gateway.peers import PEERS, NotRun, Peer, free_port
from benchmarks.gateway.peers import started as peer_started
from benchmarks.gateway.plot import draw
from benchmarks.machine import describe


def gateways(stack: ExitStack, port: int, core: int | None) -> list[Started]:
    """The upstream, then Turnout: plain, with ``pinned: pass``, a ledger, two workers."""
    direct = Started(
        name="direct",
        pid=0,
        port=port,
        models={"pinned": "m/fast", "routed": "m/fast", "paced": "m/paced"},
    )
    plain = stack.enter_context(turnout(port, core=core))
    unread = stack.enter_context(turnout(port, name="unread", extra=UNREAD, core=core))
    with_ledger = stack.enter_context(turnout(port, name="ledger", extra=LEDGER, core=core))
    # The kernel spreads two workers over the cores, as it would elsewhere.
    two_workers = stack.enter_context(turnout(port, name="2 workers", workers=2))
    return [direct, plain, unread, with_ledger, two_workers]


def started_peers(
    stack: ExitStack, wanted: Sequence[Peer], port: int, core: int | None
) -> tuple[list[Started], dict[str, str]]:
    """The peers that answer, and why others do not."""
    served, missing = [], {}
    for peer in wanted:
        try:
            served.append(stack.enter_context(peer_started(peer, port, free_port(), core)))
        except NotRun as error:
            missing[peer.name] = str(error)
    return served, missing


def rounds(
    served: Sequence[Started], cases: Sequence[Case], count: int, seconds: float, core: int | None
) -> list[dict[str, Any]]:
    """A row for each case and gateway: medians over rounds."""
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for _ in range(count):
        for case in cases:
            for gateway in served:
                if gateway.peer and not case.peers:
                    continue
                found = measure.run(case.spec(gateway, seconds), gateway.pid or None, core)
                runs.setdefault((case.name, gateway.name), []).append(found)
    return [_row(case, gateway, found) for (case, gateway), found in runs.items()]


def _row(case: str, gateway: str, found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    medians = {key: statistics.median(f.get(key, 0) for f in found) for key in found[0]}
    cpu_us = [f["cpu_us"] for f in found if "cpu_us" in f]
    spread = {"cpu_us_low": min(cpu_us), "cpu_us_high": max(cpu_us)} if cpu_us else {}
    return {"case": case, "gateway": gateway, **medians, **spread}


def show(report: dict[str, Any]) -> None:
    """The tables."""
    for name in ("machine", "started", "peers"):
        if name in report:
            print(f"{name}: {report[name]}")
    for name, why in report.get("not_run", {}).items():
        print(f"NOT RUN: {name}: {why}")
    columns = ["rps", "p50_ms", "p99_ms", "first_p50_ms", "transit_p50_ms", "transit_p99_ms"]
    columns += ["events_s", "cpu_us", "cpu_us_low", "cpu_us_event", "failed"]
    print(f"{'case':20} {'gateway':12}" + "".join(f"{c:>15}" for c in columns))
    for row in report["rows"]:
        cells = "".join(f"{row[c]:15.2f}" if c in row else " " * 15 for c in columns)
        print(f"{row['case']:20} {row['gateway']:12}{cells}")


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """The report of all gateways and cases that were asked for."""
    gateway_core, client_core = (None, None) if options.no_pin else (0, 1)
    words = options.case or [""]
    cases = [case for case in CASES if any(word in case.name for word in words)]
    names = (options.peers or "").split(",")
    wanted = [peer for peer in PEERS if options.peers == "all" or peer.name in names]
    with ExitStack() as stack:
        port = stack.enter_context(upstream(client_core))
        served = gateways(stack, port, gateway_core)
        peers, missing = started_peers(stack, wanted, port, gateway_core)
        served += peers
        started = {
            g.name: {"start_s": g.start_s, "rss_mb": measure.rss_mb(measure.family(g.pid))}
            for g in served
            if g.pid
        }
        return {
            "machine": describe("uvloop", "httptools", "orjson"),
            "started": started,
            "peers": {p.name: f"{p.version} {p.note}".strip() for p in PEERS},
            "not_run": missing,
            "rows": rounds(served, cases, options.rounds, options.seconds, client_core),
        }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", action="append", help="only cases whose name holds this")
    parser.add_argument("--no-pin", action="store_true", help="let the kernel choose the cores")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--peers", help="other gateways: all, or names with commas between")
    parser.add_argument("--out", type=Path, help="also write the JSON here")
    parser.add_argument("--plot", type=Path, help="draw CPU time and requests a second here (SVG)")
    options = parser.parse_args()
    report = measured(options)
    if options.out:
        options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if options.plot:
        draw(report["rows"], options.plot)
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        show(report)


if __name__ == "__main__":
    main()
