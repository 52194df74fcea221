"""Files that commands write: never over what is read, and one line where it cannot be done."""

import gzip
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

from turnout.core import ConfigError


def check_apart(source: Path, target: Path, what: str) -> None:
    """Whether ``what`` is written elsewhere than it is read from. Raises ConfigError."""
    if source.exists() and target.exists() and source.samefile(target):
        raise ConfigError(f"{target} is the file to read; write the {what} elsewhere")


def check_file(place: Path) -> None:
    """Whether the file can be written, before what fills it takes its time. Raises ConfigError."""
    if place.is_dir():
        raise ConfigError(f"{place} is a folder; name the file to write")
    check_folder(place.parent)


def make_room(place: Path, sources: Iterable[Path], what: str) -> None:
    """Makes the folder of a file that can be written and is none of ``sources``.

    Raises ConfigError.
    """
    check_file(place)
    for source in sources:
        check_apart(source, place, what)
    place.parent.mkdir(parents=True, exist_ok=True)


def check_folder(folder: Path) -> None:
    """Whether the folder is there or can be made, and be written. Raises ConfigError."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise ConfigError(f"{there} is a file; name another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"{there}: cannot be written; name another place")


@contextmanager
def written(target: Path) -> Iterator[BinaryIO]:
    """The file to write, gzipped where it is called so, or standard output for ``-``.

    Raises ConfigError.
    """
    try:
        if str(target) == "-":
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        else:
            with _opened(target) as file:
                yield file
    except BrokenPipeError:
        raise  # who reads has seen enough, which is no error of theirs
    except OSError as error:
        raise _unwritten(target, error) from error


def _opened(target: Path) -> BinaryIO:
    """The file, gzipped where its name says so."""
    if target.suffix == ".gz":
        return cast("BinaryIO", gzip.open(target, "wb"))
    return target.open("wb")


def store(target: Path, data: bytes) -> None:
    """Write a whole file, or make none. Raises ConfigError."""
    if str(target) == "-":
        raise ConfigError("'-' would be a file of this name; name the file to write")
    new = not target.exists()
    try:
        target.write_bytes(data)
    except OSError as error:
        if new:
            with suppress(OSError):
                target.unlink(missing_ok=True)
        raise _unwritten(target, error) from error


def _unwritten(target: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{target}: cannot be written ({error.strerror})")
