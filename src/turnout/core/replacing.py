"""Files that are replaced as a whole: whoever reads one finds the earlier contents or the new."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """The path to write; at the end the file there becomes ``target``, at once.

    After an error or an interrupt, what was there stays. The new file keeps the old one's mode, and
    a symbolic link stays one. A device or a pipe, which keeps nothing, is itself the path to write.
    Raises OSError.
    """
    if target.exists() and not target.is_file():
        yield target
        return
    place = target.resolve()
    # 60 characters always fit into a name; the last ones tell the format.
    new = place.with_name(f".{os.getpid()}.{place.name[-60:]}")
    try:
        yield new
        if place.exists():
            shutil.copymode(place, new)
        new.replace(place)
    finally:
        new.unlink(missing_ok=True)
