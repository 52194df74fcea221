"""``python -m benchmarks.decision``: how long deciding takes, from the import to the whole command.

Prints machine, versions, medians and spread; ``--json`` prints the same as JSON.
"""

import json
import os
import statistics
import subprocess
import sys
from itertools import product
from pathlib import Path

from benchmarks.machine import describe, print_machine, spread, timed
from turnout import Router
from turnout.core import Snapshot
from turnout.decision import decide
from turnout.features import extract

PROMPT = (
    "Our shop exports its orders as CSV with a header line and semicolons. Please write a Python "
    "function that reads such a file, skips blank lines and returns one dictionary for each row."
)
# Every prompt is different and has 200 characters: pairs of these words end it.
WORDS = ["".join(letters) for letters in product("bdfglmnprt", "aeiou", "klmnrst")]
TURNOUT = str(Path(sys.executable).parent / "turnout")
TARGETS = {
    "decide() without the classifier": ("us", 50),
    "local classification, 200 characters": ("us", 150),
    "import turnout": ("ms", 150),
    "turnout route, whole command": ("ms", 1000),
}


def main() -> None:
    """Measure and print."""
    figures = {**_in_process(), **_whole_processes()}
    if "--json" in sys.argv:
        print(json.dumps({"machine": describe("turnout", "numpy"), "figures": figures}, indent=2))
        return
    print_machine("turnout", "numpy")
    print(f"\n{'':<40}{'p25':>9}{'p50':>9}{'p75':>9}{'p95':>9}  target")
    for name, figure in figures.items():
        row = "".join(f"{figure[k]:9.1f}" for k in ("p25", "p50", "p75", "p95"))
        target = TARGETS.get(name)
        print(f"{name:<40}{row}  " + (f"<= {target[1]} {target[0]}" if target else ""))


def _in_process() -> dict[str, dict[str, float]]:
    with Router.from_env() as router:
        parts = router.parts
        rules = parts.means.rules
        text = PROMPT[:200]
        request = router.request(text)
        tokenizers = {d.card.tokenizer for d in rules.catalog.deployments.values()}
        features = extract(request, tokenizers)
        prediction = parts.classifier.predict(request.messages)
        now = Snapshot(as_of=0.0)
        # Different prompts, so that no cache of texts is measured.
        texts = iter(f"{text[:184]} {a} {b}" for a, b in product(WORDS, repeat=2))
        classify = parts.classifier.predict
        return {
            "decide() without the classifier": spread(
                timed(lambda: decide(request, features, prediction, now, rules), rounds=5000)
            ),
            "features, three tokenizers": spread(
                timed(lambda: extract(request, tokenizers), rounds=2000)
            ),
            "local classification, 200 characters": spread(
                timed(lambda: classify([{"role": "user", "content": next(texts)}]), rounds=2000)
            ),
            "route(), in process": spread(timed(lambda: router.route(next(texts)), rounds=1000)),
        }


def _whole_processes() -> dict[str, dict[str, float]]:
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}

    def run(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True, env=environ)

    bare = [x / 1e3 for x in timed(lambda: run(sys.executable, "-c", ""), rounds=15, warm_up=2)]
    package = [
        x / 1e3
        for x in timed(lambda: run(sys.executable, "-c", "import turnout"), rounds=15, warm_up=2)
    ]
    route = timed(lambda: run(TURNOUT, "route", PROMPT), rounds=11, warm_up=2)
    floor = statistics.median(bare)
    return {
        "import turnout": spread([max(0.0, x - floor) for x in package]),
        "turnout route, whole command": spread([x / 1e3 for x in route]),
    }


if __name__ == "__main__":
    main()
