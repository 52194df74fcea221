"""What the fuzzers have learned is replayed by ``make test``; ``make test-all`` lets them run."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from tests.fuzz.targets import TARGETS

HERE = Path(__file__).parent
CORPUS = sorted((HERE / "corpus").glob("*/*"))
PYTHON = os.environ.get("TURNOUT_FUZZ_PYTHON", "")
SECONDS = int(os.environ.get("TURNOUT_FUZZ_SECONDS", "15"))


@pytest.mark.parametrize("path", CORPUS, ids=[f"{p.parent.name}-{p.name}" for p in CORPUS])
def test_what_was_found_stays_fixed(path: Path) -> None:
    """No input of the corpus breaks an invariant."""
    TARGETS[path.parent.name](path.read_bytes())


def test_every_target_has_a_corpus() -> None:
    """None is empty."""
    assert {path.parent.name for path in CORPUS} == set(TARGETS)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_short_run_finds_nothing(target: str, tmp_path: Path) -> None:
    """Coverage-guided, from the corpus on; what it finds is printed as bytes to keep."""
    if not PYTHON:
        pytest.skip("NOT RUN: TURNOUT_FUZZ_PYTHON is not set")
    here = [str(HERE.parents[1]), str(HERE.parents[1] / "src"), sysconfig.get_paths()["purelib"]]
    command = [PYTHON, str(HERE / "fuzz.py"), target, str(tmp_path)]
    command += [str(HERE / "corpus" / target), f"-max_total_time={SECONDS}", "-rss_limit_mb=4096"]
    command += [f"-artifact_prefix={tmp_path}/", "-timeout=20", "-print_final_stats=1"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": ":".join(here)},
        timeout=SECONDS + 180,
    )
    crashes = [path.read_bytes() for path in tmp_path.glob("crash-*")]
    assert done.returncode == 0, (crashes, done.stdout[-3000:], done.stderr[-3000:])
    sys.stderr.write(f"{target}: {_runs(done.stderr)} runs in {SECONDS} s\n")


def _runs(said: str) -> str:
    return said.rpartition("stat::number_of_executed_units:")[2].split("\n")[0].strip()
