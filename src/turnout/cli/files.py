"""Files that commands write: never over the file that is read, with one-line errors."""

import gzip
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from turnout.core import ConfigError
from turnout.core.replacing import replacing


def check_different_files(source: Path, target: Path, what: str) -> None:
    """Raises ConfigError if ``what`` would be written over the file that is read."""
    if source.exists() and target.exists() and source.samefile(target):
        raise ConfigError(f"{target} is the file to read; write the {what} elsewhere")


def prepare_target(target: Path, sources: Iterable[Path], what: str) -> None:
    """Makes the file's folder, before long work begins.

    Raises ConfigError if the file cannot be written or is a source.
    """
    _check_named(target)
    if target.is_dir():
        raise ConfigError(f"{target} is a folder; name the file to write")
    check_folder(target.parent)
    for source in sources:
        check_different_files(source, target, what)
    target.parent.mkdir(parents=True, exist_ok=True)


def check_folder(folder: Path) -> None:
    """Raises ConfigError if the folder can neither be written nor made."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ConfigError(f"{existing} is a file; name another place")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"{existing}: cannot be written; name another place")


@contextmanager
def output_file(target: Path) -> Iterator[BinaryIO]:
    """The file to write, gzipped if its name ends in ``.gz``; standard output for ``-``.

    After an error or an interrupt, the file that was there stays. Raises ConfigError.
    """
    try:
        if str(target) == "-":
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        else:
            with replacing(target) as place, place.open("wb") as file:
                if target.suffix == ".gz":
                    with gzip.GzipFile("", "wb", fileobj=file) as packed:
                        yield cast("BinaryIO", packed)
                else:
                    yield file
    except BrokenPipeError:
        raise  # the reader has seen enough, which is no error
    except OSError as error:
        raise ConfigError(f"{target}: cannot be written ({error.strerror})") from error


def write_whole(target: Path, data: bytes) -> None:
    """Write a whole file, or leave what was there. Raises ConfigError."""
    _check_named(target)
    with output_file(target) as file:
        file.write(data)


def _check_named(target: Path) -> None:
    if str(target) == "-":
        raise ConfigError("'-' does not mean standard output here; name the file to write")
