"""Faults below the ledger: kills at each system call, fsync errors, and a full disk.

They need ``strace`` and the right to mount; a check that cannot be run says NOT RUN.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from turnout.ledger import Ledger
from turnout.ledger.sqlite import SqliteStore
from turnout.proving.kills import parse_acknowledgements
from turnout.proving.report import NOT_RUN, Check, Trial, check_of
from turnout.proving.workload import RULES, Acknowledged, Tally

CALLS = ("fdatasync", "pwrite64", "ftruncate", "unlink")
_COUNT = 120
_FAILING_CALLS = "20..30"
_DISK_SIZE = "1500k"
_DEADLINE_S = 120


def syscall_kills(points: int, trial: Trial) -> Check:
    """A process killed as it enters its k-th write, sync, truncation or deletion, for each k."""
    if shutil.which("strace") is None:
        return Check(name="kill at each syscall", result=NOT_RUN, detail="needs strace (apt)")
    tally, per_call = Tally(), max(1, points // len(CALLS))
    done = 0
    for call in CALLS:
        for k in range(1, per_call + 1):
            path = trial.folder / f"{call}{k}" / "ledger.db"
            path.parent.mkdir()
            acknowledged = _run_traced(
                path, f"inject={call}:signal=SIGKILL:when={k}", call, done, trial.seed
            )
            _check_ledger(path, acknowledged, tally)
            shutil.rmtree(path.parent)
            done += 1
            trial.progress(done)
    name = "kill at each syscall"
    return check_of(name, tally.wrong(), fix="raise --points", points=done, **tally.shown())


def fsync_errors(trial: Trial) -> Check:
    """A process whose fdatasync fails eleven times: no promise meanwhile, then it goes on."""
    if shutil.which("strace") is None:
        return Check(name="fsync errors", result=NOT_RUN, detail="needs strace (apt)")
    tally, path = Tally(), trial.folder / "ledger.db"
    injection = f"inject=fdatasync:error=EIO:when={_FAILING_CALLS}"
    acknowledged = _run_traced(path, injection, "fdatasync", 0, trial.seed, count=3_000)
    _check_ledger(path, acknowledged, tally)
    return _recovery_check("fsync errors", acknowledged, tally)


def full_disk(trial: Trial) -> Check:
    """A disk that fills up and then has room again, under a process that goes on."""
    tally, folder = Tally(), trial.folder
    with _small_disk(folder) as mounted:
        if not mounted:
            return Check(name="full disk", result=NOT_RUN, detail="mount is not allowed here")
        path = folder / "ledger.db"
        ballast = folder / "ballast"
        ballast.write_bytes(bytes(600_000))
        with subprocess.Popen(
            _command(path, 0, trial.seed, 6_000), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as child:
            output = b""
            assert child.stdout is not None  # noqa: S101 -- it is a pipe
            for line in child.stdout:
                output += line
                if (
                    line.startswith(b"refused")
                    and ballast.exists()
                    and output.count(b"refused") > 30
                ):
                    ballast.unlink()
                    subprocess.run(["mount", "-o", "remount,size=64m", folder], check=True)
            child.wait(_DEADLINE_S)
        acknowledged = parse_acknowledgements(output)
        _check_ledger(path, acknowledged, tally)
    return _recovery_check("full disk", acknowledged, tally)


def _recovery_check(name: str, acknowledged: Acknowledged, tally: Tally) -> Check:
    """The verdict on a process that had to refuse for a while, and then to go on."""
    kinds = [kind for kind, _, _ in acknowledged]
    wrong = {
        **tally.wrong(),
        "not disturbed": int("refused" not in kinds),
        "not recovered": int(not kinds or kinds[-1] == "refused"),
    }
    return check_of(name, wrong, acknowledged=tally.acknowledged, refused=tally.refused)


def _run_traced(
    path: Path, injection: str, call: str, run: int, seed: int, *, count: int = _COUNT
) -> Acknowledged:
    done = subprocess.run(
        ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", injection,
         *_command(path, run, seed, count)],
        capture_output=True, timeout=_DEADLINE_S, check=False,
    )  # fmt: skip
    return parse_acknowledgements(done.stdout)


def _command(path: Path, run: int, seed: int, count: int) -> list[str]:
    return [sys.executable, "-m", "turnout.proving.child", str(path), str(run), str(seed),
            str(count)]  # fmt: skip


def _check_ledger(path: Path, acknowledged: Acknowledged, tally: Tally) -> None:
    """The next start finds everything."""
    with Ledger(SqliteStore(path), catalog=RULES.catalog) as ledger:
        tally.add(ledger.store, acknowledged, verify_all=True)


@contextmanager
def _small_disk(folder: Path) -> Iterator[bool]:
    command = ["mount", "-t", "tmpfs", "-o", f"size={_DISK_SIZE}", "tmpfs", str(folder)]
    allowed = os.geteuid() == 0 and shutil.which("mount") is not None
    mounted = allowed and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)
