"""A process that works on a ledger and prints what was acknowledged, for proofs to disturb.

``python -m turnout.proving.child PATH RUN SEED COUNT``
"""

import sys
from pathlib import Path

from turnout.proving.kills import work_and_print

if __name__ == "__main__":
    path, run, seed, count = sys.argv[1:]
    work_and_print(Path(path), int(run), int(seed), 1, int(count))
