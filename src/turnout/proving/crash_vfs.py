"""A disk in memory that loses power: unsynchronised writes are kept, lost, torn or reordered.

It models only what a file system promises: a successful sync makes the earlier writes of
that file durable; a write that was not synchronised may be there in full, in some of its 512-byte
sectors, or not at all, whatever the order. A sync that fails drops the writes from what will ever
reach the disk, though they can still be read, as Linux does (Rebello et al., USENIX ATC 2020).
The method is that of SQLite's own crash tests (https://www.sqlite.org/testing.html).
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import apsw

SECTOR = 512
_POWERSAFE_OVERWRITE = 0x1000

Write = tuple[int, bytes] | int  # an offset with its data, or a new size


@dataclass(slots=True)
class Image:
    """A file: its contents for programs, its contents on the disk, and the writes in between."""

    live: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[Write] = field(default_factory=list)

    def write(self, change: Write) -> None:
        """Change the contents for programs."""
        apply(self.live, change)
        self.pending.append(change)

    def sync(self) -> None:
        """Make every change durable."""
        for change in self.pending:
            apply(self.durable, change)
        self.pending.clear()

    def after_power_loss(self, rng: random.Random) -> "Image":
        """The file as the next start finds it."""
        content = bytearray(self.durable)
        changes = [c for c in self.pending if rng.random() < 0.5]
        if rng.random() < 0.5:
            rng.shuffle(changes)
        for change in changes:
            is_torn = isinstance(change, tuple) and rng.random() < 0.3
            for part in _sectors(change, rng) if is_torn else [change]:
                apply(content, part)
        return Image(live=bytearray(content), durable=content)


def apply(data: bytearray, change: Write) -> None:
    """Write into, or set the size of, a file's bytes."""
    if isinstance(change, int):
        del data[change:]
        data.extend(bytes(max(0, change - len(data))))
        return
    offset, written = change
    if len(data) < offset:
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(written)] = written


def _sectors(change: Write, rng: random.Random) -> list[Write]:
    """Some of a write's sectors."""
    if isinstance(change, int):
        return [change]
    offset, data = change
    pieces = range(0, len(data), SECTOR)
    return [(offset + p, data[p : p + SECTOR]) for p in pieces if rng.random() < 0.5]


class CrashDisk(apsw.VFS):
    """The disk, as a SQLite VFS called ``name``. ``on_step`` is called at each write and sync.

    It returns whether that sync is to fail.
    """

    def __init__(self, name: str, images: dict[str, Image], on_step: Callable[[str], bool]) -> None:
        self.images = images
        self.on_step = on_step
        super().__init__(name, base="")

    def xOpen(self, name: Any, flags: list[int]) -> Any:  # noqa: N802 -- SQLite's name
        """As SQLite wants it."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        flags[1] = flags[0]
        image = Image() if path is None else self.images.setdefault(path, Image())
        return _File(image, self.on_step)

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: N802, FBT001 -- SQLite's
        """As SQLite wants it; a deletion is durable at once."""
        del syncdir
        self.images.pop(name, None)

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802 -- SQLite's name
        """As SQLite wants it."""
        del flags
        return pathname in self.images and len(self.images[pathname].live) > 0

    def xFullPathname(self, name: str) -> str:  # noqa: N802 -- SQLite's name
        """As SQLite wants it."""
        return name


class _File:
    """An open file of the disk, with SQLite's method names."""

    def __init__(self, image: Image, on_step: Callable[[str], bool]) -> None:
        self._image = image
        self._on_step = on_step

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 -- SQLite's name
        return bytes(self._image.live[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 -- SQLite's name
        self._on_step("write")
        self._image.write((offset, bytes(data)))

    def xTruncate(self, size: int) -> None:  # noqa: N802 -- SQLite's name
        self._on_step("write")
        self._image.write(size)

    def xSync(self, flags: int) -> None:  # noqa: N802 -- SQLite's name
        del flags
        if self._on_step("sync"):
            self._image.pending.clear()
            raise apsw.IOError
        self._image.sync()

    def xFileSize(self) -> int:  # noqa: N802 -- SQLite's name
        return len(self._image.live)

    def xSectorSize(self) -> int:  # noqa: N802 -- SQLite's name
        return SECTOR

    def xDeviceCharacteristics(self) -> int:  # noqa: N802 -- SQLite's name
        return _POWERSAFE_OVERWRITE

    def xFileControl(self, op: int, pointer: int) -> bool:  # noqa: N802 -- SQLite's name
        del op, pointer
        return False

    def xLock(self, level: int) -> None:  # noqa: N802 -- SQLite's name
        pass

    def xUnlock(self, level: int) -> None:  # noqa: N802 -- SQLite's name
        pass

    def xCheckReservedLock(self) -> bool:  # noqa: N802 -- SQLite's name
        return False

    def xClose(self) -> None:  # noqa: N802 -- SQLite's name
        pass
