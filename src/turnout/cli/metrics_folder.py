"""The folder in which a gateway's workers keep their figures, so that one of them can tell all.

Invariant: it is gone with the process that made it, or else with the next start on this machine:
its lock, which the system takes from who dies, tells a folder in use from one that was left.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = "turnout-metrics-"
_LOCK = "lock"


@contextmanager
def metrics_folder() -> Iterator[Path]:
    """A new folder, locked; those that killed processes left are removed before."""
    place = Path(tempfile.gettempdir())
    for folder in place.glob(f"{_NAME}*"):
        _remove_if_left(folder)
    # It gets the name under which others look for it once it is locked.
    hidden = Path(tempfile.mkdtemp(prefix=f".{_NAME}", dir=place))
    folder = hidden.with_name(hidden.name[1:])
    with (hidden / _LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            hidden.rename(folder)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_if_left(folder: Path) -> None:
    try:
        with (folder / _LOCK).open("rb") as lock:
            if os.fstat(lock.fileno()).st_uid != os.geteuid():
                return
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return  # in use, gone by now, or not ours to read
