"""Files that commands write: never over the file that is read, with one-line errors."""

import gzip
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from turnout.core import ConfigError


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

    Raises ConfigError.
    """
    try:
        if str(target) == "-":
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        else:
            with _open(target) as file:
                yield file
    except BrokenPipeError:
        raise  # the reader has seen enough, which is no error
    except OSError as error:
        raise _write_error(target, error) from error


def _open(target: Path) -> BinaryIO:
    """The open file, gzipped if its name ends in ``.gz``."""
    if target.suffix == ".gz":
        return cast("BinaryIO", gzip.open(target, "wb"))
    return target.open("wb")


def write_whole(target: Path, data: bytes) -> None:
    """Write a whole file, or leave what was there. Raises ConfigError."""
    _check_named(target)
    try:
        if target.exists() and not target.is_file():
            target.write_bytes(data)  # a device or a pipe keeps nothing
        else:
            _replace(target.resolve(), data)
    except OSError as error:
        raise _write_error(target, error) from error


def _check_named(target: Path) -> None:
    if str(target) == "-":
        raise ConfigError("'-' does not mean standard output here; name the file to write")


def _replace(target: Path, data: bytes) -> None:
    """The file with other contents and the same mode, at once."""
    partial = target.with_name(f".{target.name[:200]}.{os.getpid()}")
    try:
        partial.write_bytes(data)
        if target.exists():
            shutil.copymode(target, partial)
        partial.replace(target)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def _write_error(target: Path, error: OSError) -> ConfigError:
    return ConfigError(f"{target}: cannot be written ({error.strerror})")
