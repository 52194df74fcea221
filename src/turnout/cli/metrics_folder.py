"""The folder where a gateway's workers keep their metrics, so that each can report all of them.

Invariant: the folder is removed with the process that made it, or, if that was killed, at the next
start on this machine. A lock, which the system releases when its holder dies, tells the two apart.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir, mkdtemp

from turnout.core import ConfigError

_NAME = "turnout-metrics-"
_LOCK = "lock"


@contextmanager
def metrics_folder() -> Iterator[Path]:
    """A new, locked folder; folders that killed processes left behind are removed first.

    Raises ConfigError if there is no folder for temporary files.
    """
    try:
        temp_folder = Path(gettempdir())
    except FileNotFoundError as error:
        raise ConfigError(
            "several workers need a folder for temporary files that can be written; set TMPDIR"
        ) from error
    for folder in temp_folder.glob(f"{_NAME}*"):
        _remove_if_abandoned(folder)
    # It gets the name by which others find it only when it is locked.
    hidden = Path(mkdtemp(prefix=f".{_NAME}", dir=temp_folder))
    folder = hidden.with_name(hidden.name[1:])
    with (hidden / _LOCK).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            hidden.rename(folder)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_if_abandoned(folder: Path) -> None:
    try:
        with (folder / _LOCK).open("rb") as lock:
            if os.fstat(lock.fileno()).st_uid != os.geteuid():
                return
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return  # in use, already gone, or not readable
