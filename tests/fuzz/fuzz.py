"""Coverage-guided fuzzing of what reads foreign bytes: ``python tests/fuzz/fuzz.py TARGET [ARGS]``.

Runs in the environment of requirements/fuzz.lock, with Turnout and its dependencies on the path.
TARGET is ``sse``, ``json``, ``requests`` or ``answers``; ARGS are libFuzzer's, the corpus folder
first. An input that breaks an invariant is written down as ``crash-*``: fix it, then keep it in
tests/fuzz/corpus, which ``make test`` replays.
"""

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["turnout"]):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
