"""``python -m benchmarks.savings``: the recipe's cost on 1,000 prompts of every intent.

Draws them from the shared development data with a fixed seed, in the proportions it has, and runs
``turnout compare`` on them. No model is called: prompts are counted, answers assumed and marked.
"""

import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import print_machine

DATA = Path(os.environ.get("TURNOUT_DATA", "../shared/data")) / "intents" / "dev.jsonl.gz"
PROMPTS = 1000
SEED = 7


def main() -> None:
    """Draw, compare, print."""
    if not DATA.exists():
        print(f"NOT RUN: {DATA} is absent; set TURNOUT_DATA to the folder of the shared data")
        return
    with gzip.open(DATA, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    drawn = random.Random(SEED).sample(rows, PROMPTS)
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        for row in drawn:
            file.write(json.dumps({"id": row["id"], "text": row["text"]}) + "\n")
        file.flush()
        print_machine("turnout")
        print(f"{PROMPTS} prompts, seed {SEED}, intents as in the data\n", flush=True)
        turnout = str(Path(sys.executable).parent / "turnout")
        subprocess.run([turnout, "compare", file.name, *sys.argv[1:]], check=True)


if __name__ == "__main__":
    main()
