"""Instructions of the gateway's process for one request.

``python -m benchmarks.gateway.instructions [--case WORD]... [--seconds 20] [--json]``

Times change with the machine and with what else runs on it; instructions hardly do, so that two
commits can be compared anywhere. ``valgrind`` counts them, which makes the gateway some 50 times
slower, so that work done at intervals weighs more than it would. 32 connections, one worker.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.gateway import measure
from benchmarks.gateway.cases import PROMPT
from benchmarks.gateway.gateways import LEDGER, UNREAD, turnout, upstream
from benchmarks.gateway.load import Spec
from benchmarks.machine import describe, print_machine

# Extra configuration and the model asked for.
_CASES = {"unread": (UNREAD, "pinned"), "routed": ("", "routed"), "ledger": (LEDGER, "routed")}
_CONNECTIONS = 32
# Until the second stage is loaded and caches are filled.
_WARM_UP_S, _LOADED_S = 10.0, 25.0


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--case", action="append", choices=list(_CASES))
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if shutil.which("valgrind") is None:
        sys.exit("NOT RUN: valgrind is not installed; apt-get install valgrind")
    with upstream() as port:
        found = {case: _count(port, case, given.seconds) for case in given.case or _CASES}
    if given.json:
        print(
            json.dumps({"machine": describe("turnout", "numpy"), "instructions": found}, indent=2)
        )
        return
    print_machine("turnout", "numpy")
    for case, count in found.items():
        print(f"{case:>12}  {count:,} instructions a request")


def _count(port: int, case: str, seconds: float) -> int:
    extra, model = _CASES[case]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "counts")
        command = ["valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no"]
        with turnout(port, extra=extra, under=[*command, f"--callgrind-out-file={out}"]) as served:
            body = {
                "model": served.models[model],
                "messages": [{"role": "user", "content": PROMPT}],
            }

            def answers(during_s: float) -> int:
                spec = Spec(
                    port=served.port,
                    body=json.dumps(body),
                    connections=_CONNECTIONS,
                    seconds=during_s,
                )
                return int(measure.run(spec, None)["answers"])

            answers(_WARM_UP_S)
            time.sleep(_LOADED_S)
            answers(_WARM_UP_S)
            _control(served.pid, "--instr=on")
            count = answers(seconds)
            _control(served.pid, "--instr=off")
            _control(served.pid, "--dump")
        return _total(out.parent) // count


def _control(pid: int, command: str) -> None:
    subprocess.run(["callgrind_control", command, str(pid)], check=True, capture_output=True)


def _total(folder: Path) -> int:
    """The instructions in all dumps in the folder."""
    lines = [line for file in folder.iterdir() for line in file.read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("totals:"))


if __name__ == "__main__":
    main()
