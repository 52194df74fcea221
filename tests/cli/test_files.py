"""Files that commands write whole: as told, or as they were."""

import gzip
import os
import resource
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from turnout.cli.files import output_file, write_whole
from turnout.core import ConfigError


@pytest.fixture
def small_file_limit() -> Iterator[None]:
    """No file may be larger than 64 bytes, as if its disk were full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_file_limit")
@pytest.mark.parametrize("before", [b"kept", None])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, before: bytes | None) -> None:
    """Neither half a file, nor a part beside it."""
    place = tmp_path / "bundle.json"
    if before:
        place.write_bytes(before)
    with pytest.raises(ConfigError, match=r"bundle\.json: cannot be written \(File too large\)"):
        write_whole(place, b"x" * 65)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([before] if before else [])


@pytest.mark.parametrize(
    "name",
    ["table.jsonl", "table.jsonl.gz", "x" * 250, "表" * 80],
    ids=["plain", "packed", "long", "wide"],
)
def test_an_error_while_a_file_is_written_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    """Whatever its name; the next try replaces it, packed if its name says so."""
    place = tmp_path / name
    place.write_bytes(b"kept")
    with pytest.raises(ZeroDivisionError), output_file(place) as file:
        file.writelines(b"x" * 1000 if n else b"%d" % (1 // n) for n in reversed(range(100)))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"kept"]
    with output_file(place) as file:
        file.write(b"x" * 100_000)
    data = place.read_bytes()
    assert (gzip.decompress(data) if name.endswith(".gz") else data) == b"x" * 100_000


def test_a_file_keeps_its_mode_and_its_link(tmp_path: Path) -> None:
    """What is written behind a symbolic link is the file that it names."""
    place, link = tmp_path / "mine.json", tmp_path / "link.json"
    place.write_bytes(b"before")
    place.chmod(0o640)
    link.symlink_to(place)
    write_whole(link, b"after")
    assert link.is_symlink()
    assert (place.read_bytes(), place.stat().st_mode & 0o777) == (b"after", 0o640)


def test_a_new_file_has_the_usual_mode(tmp_path: Path) -> None:
    """As any file that a program makes."""
    write_whole(tmp_path / "new", b"1")
    (tmp_path / "other").write_bytes(b"1")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    """It is not replaced by a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, b"verdicts")
    reader.join()
    assert (read, pipe.is_fifo()) == ([b"verdicts"], True)
