"""One trained artefact: named arrays, what they mean, and the model card, in one file.

The file is a zip of ``.npy`` arrays (read with pickling off), ``meta.json`` and
``MODEL_CARD.md``. Its digest covers the arrays and the meaning, not the card or the zip's
dates, so that training twice on the same rows gives the same digest.
"""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import numpy as np
import orjson
from numpy.typing import NDArray

from turnout.core import ConfigError

SHIPPED = "intents.zip"
# What the arrays and the meta hold; a classifier reads one layout.
VERSION = "5"
_META = "meta.json"
_CARD = "MODEL_CARD.md"
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """``arrays`` by name, ``meta`` as JSON values, ``card`` as Markdown."""

    # Without slots, so that its digest is taken once.

    arrays: Mapping[str, NDArray[Any]]
    meta: Mapping[str, Any]
    card: str = field(default="", compare=False)

    @cached_property
    def digest(self) -> str:
        """``sha256:`` and the hash of the arrays and the meta."""
        hashed = hashlib.sha256(_canonical(self.meta))
        for name in sorted(self.arrays):
            array = np.ascontiguousarray(self.arrays[name])
            hashed.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
            hashed.update(array.reshape(-1).view(np.uint8).data)
        return "sha256:" + hashed.hexdigest()

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """The artefact at ``path``, or the shipped one. Raises ConfigError."""
        try:
            shipped = files("turnout") / "artefacts" / SHIPPED
            return cls._read((path or shipped).read_bytes())
        except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
            where = path or "the shipped artefact"
            raise ConfigError(
                f"{where}: not a classifier artefact ({error}); make one with turnout train intents"
            ) from error

    @classmethod
    def _read(cls, data: bytes) -> Self:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            meta = orjson.loads(archive.read(_META))
            arrays = {
                name.removesuffix(".npy"): np.load(io.BytesIO(archive.read(name)))
                for name in archive.namelist()
                if name.endswith(".npy")
            }
            card = archive.read(_CARD).decode()
        artefact = cls(arrays=arrays, meta=meta["meta"], card=card)
        if artefact.digest != meta["digest"]:
            raise ValueError(f"its content is not what {meta['digest'][:19]} names")
        # Another kind of artefact names its layout in a field that its own reader checks.
        version = artefact.meta.get("version", VERSION)
        if version != VERSION:
            raise ValueError(f"it has layout {version}, {VERSION} is read")
        return artefact

    def save(self, path: Path) -> None:
        """Writes the file, and makes its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self.packed())

    def packed(self) -> bytes:
        """The file's contents; the same artefact always gives the same bytes."""
        meta = {"digest": self.digest, "meta": dict(self.meta)}
        members = {_META: _canonical(meta), _CARD: self.card.encode()}
        for name in sorted(self.arrays):
            buffer = io.BytesIO()
            np.save(buffer, self.arrays[name], allow_pickle=False)
            members[f"{name}.npy"] = buffer.getvalue()
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for name, data in members.items():
                entry = zipfile.ZipInfo(name, date_time=_DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, data)
        return packed.getvalue()


def _canonical(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)
