"""How a gateway starts, and its memory: ``python -m benchmarks.start [--rounds 5] [--core N]``.

Each round starts ``turnout serve`` anew, with one worker and with two, without a ledger and with a
new one, and asks for one routed answer of a canned upstream. Times are from the start of the
process to the end of that answer; memory is read then, and once the classifier's second stage is
loaded. The first round is not counted: it unpacks and compiles what later ones find.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from itertools import product

from benchmarks.gateway import measure
from benchmarks.gateway.gateways import turnout, upstream
from benchmarks.machine import describe, print_machine

_OFF, _NEW = 'ledger: "off"\n', "refusal: No.\n"  # without a word a ledger is kept
_SETTLED_S = 4.0
GOALS = {"first answer, s": 1.0, "largest process then, MB": 150, "largest process later, MB": 250}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--core", type=int, help="keep the gateway on this core")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {}
    with upstream() as port:
        for round_ in range(given.rounds + 1):
            for name, figures in _measure_round(port, given.core):
                if round_:
                    found.setdefault(name, []).append(figures)
    if given.json:
        print(json.dumps({"machine": describe("turnout", "numpy"), "rounds": found}, indent=2))
        return
    print_machine("turnout", "numpy")
    for name, rounds in found.items():
        print(f"\n{name:<40}{'lowest':>9}{'median':>9}{'highest':>9}  goal")
        for what in rounds[0]:
            values = [one[what] for one in rounds]
            row = (min(values), statistics.median(values), max(values))
            goal = f"<= {GOALS[what]}" if what in GOALS else ""
            print(f"  {what:<38}" + "".join(f"{v:9.2f}" for v in row) + f"  {goal}")


def _measure_round(port: int, core: int | None) -> Iterator[tuple[str, dict[str, float]]]:
    for workers, (ledger, extra) in product((1, 2), {"no": _OFF, "a new": _NEW}.items()):
        with turnout(port, extra=extra, workers=workers, core=core) as served:
            pids = measure.family(served.pid)
            figures = {
                "first answer, s": served.start_s,
                "CPU until then, s": measure.cpu_s(pids),
                "largest process then, MB": max(measure.rss_mb([pid]) for pid in pids),
            }
            time.sleep(_SETTLED_S)
            pids = measure.family(served.pid)
            figures |= {
                "largest process later, MB": max(measure.rss_mb([pid]) for pid in pids),
                "all processes later, MB": measure.rss_mb(pids),
                "the same, shared pages once, MB": measure.pss_mb(pids),
            }
        yield f"{workers} worker{'s' * (workers > 1)}, {ledger} ledger", figures


if __name__ == "__main__":
    main()
