"""The bundle: a folder with everything that a decision depends on, and the hash of its content.

``bundle.json`` maps each file to its SHA-256; the bundle's own hash is that of the sorted list. So
two equal hashes prove that what was evaluated is what is served. Other files, such as reports, do
not count.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from turnout.classifiers.success.artefact import FILE, load
from turnout.classifiers.success.lengths import FILE as LENGTHS
from turnout.classifiers.success.lengths import Lengths, load_lengths
from turnout.classifiers.success.predictor import SuccessPredictor
from turnout.core import ConfigError
from turnout.core.prediction import Ref

INDEX = "bundle.json"
CATALOGUE = "catalogue.json"
POLICY = "policy.json"
CONFIG = "config.json"
PRICES = "prices.json"
_PARTS = (FILE, CATALOGUE, POLICY, CONFIG, PRICES, LENGTHS)
_PROMISED = ("quality", "threshold", "lost", "steady")


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A result of ``calibrate``: with this ``threshold`` the ``quality`` is kept on average.

    ``lost``: the promise is instead that at most this share of requests loses quality; ``quality``
    is then the measured one. The promise holds only with the margin ``steady``.
    """

    quality: float
    threshold: float
    lost: float | None = None
    steady: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A loaded bundle.

    ``catalogue`` maps a model to its ``mean_cost_usd``, ``price_per_mtok`` and ``quality``, as far
    as they are known. ``policy`` was written by ``calibrate``. ``lengths`` predicts the lengths of
    answers; None if the tables had no counts of tokens.
    """

    folder: Path
    digest: str
    predictor: SuccessPredictor
    catalogue: Mapping[str, Mapping[str, Any]]
    policy: Mapping[str, Any]
    lengths: Lengths | None = None

    @property
    def ref(self) -> Ref:
        """The name by which decisions say whose predictions they used."""
        return Ref(name="success", digest=self.digest)

    @property
    def promises(self) -> tuple[Promise, ...]:
        """Every calibrated promise. Raises ConfigError if one cannot be read."""
        try:
            return tuple(
                Promise(**{n: float(record[n]) for n in _PROMISED if record.get(n) is not None})
                for record in self.policy.get("promises", ())
            )
        except (AttributeError, TypeError, ValueError) as error:
            raise ConfigError(f"{self.folder / POLICY}: not a policy: {error!r}") from error

    def thresholds_by_quality(self, steady: float = 0.0) -> tuple[tuple[float, float], ...]:
        """Pairs of a quality and its threshold with the margin ``steady``, by rising quality."""
        promises = (p for p in self.promises if p.lost is None and p.steady == steady)
        return tuple(sorted((p.quality, p.threshold) for p in promises))

    @property
    def mean_qualities(self) -> tuple[tuple[str, float], ...]:
        """Pairs of a model and its mean quality, sorted by name; only models with a known one."""
        return tuple(sorted(self.means("quality").items()))

    def means(self, what: str) -> dict[str, float]:
        """``mean_cost_usd``, ``latency_ms`` or ``quality`` of each model that has a known one."""
        known = {model: record.get(what) for model, record in self.catalogue.items()}
        return {model: float(mean) for model, mean in known.items() if mean is not None}


def seal(folder: Path) -> str:
    """Writes the index of ``folder`` and returns its hash."""
    return _write_index(folder, _part_hashes(folder))


def replace_parts(
    folder: Path, write: Callable[[Path], object], *, only_these: bool = False
) -> str:
    """Replaces parts of the bundle by the files that ``write`` makes. Returns the bundle's hash.

    ``write`` gets an empty folder. Other parts stay; with ``only_these`` they are removed. A
    failure while writing, such as a full disk, leaves the bundle as it was. Raises ConfigError if
    ``folder`` cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".new-") as place:
            new = Path(place)
            write(new)
            parts = (
                _part_hashes(new) if only_these else {**_part_hashes(folder), **_part_hashes(new)}
            )
            digest = _write_index(new, parts)
            for file in new.iterdir():
                file.replace(folder / file.name)
        for name in set(_PARTS) - set(parts):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error.strerror}") from error
    return digest


def open_bundle(folder: str | Path) -> Bundle:
    """The bundle in ``folder``.

    Raises ConfigError if a file is missing or was changed after the bundle was sealed.
    """
    folder = Path(folder)
    if not (folder / INDEX).is_file():
        raise ConfigError(
            f"{folder}: not a bundle; make one with: turnout train success --table PATH --out "
            f"{folder}"
        )
    sealed, found = read_json(folder / INDEX), _part_hashes(folder)
    changed = [n for n, h in sealed.get("files", {}).items() if found.get(n) != h]
    if changed or sealed.get("hash") != _digest_of(found):
        raise ConfigError(
            f"{folder}: {', '.join(changed) or 'a file'} was changed after the bundle was sealed; "
            "restore it or train again"
        )
    return Bundle(
        folder=folder,
        digest=sealed["hash"],
        predictor=load(folder),
        catalogue=_read_json_if_any(folder / CATALOGUE),
        policy=_read_json_if_any(folder / POLICY),
        lengths=load_lengths(folder),
    )


def write_json(path: Path, value: Any) -> None:
    """A JSON file with sorted keys, so that equal values give equal bytes."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises ConfigError if there is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: not a JSON object")
    return value


def _read_json_if_any(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _write_index(folder: Path, parts: Mapping[str, str]) -> str:
    digest = _digest_of(parts)
    write_json(folder / INDEX, {"hash": digest, "files": parts})
    return digest


def _part_hashes(folder: Path) -> dict[str, str]:
    return {
        name: "sha256:" + hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in sorted(_PARTS)
        if (folder / name).is_file()
    }


def _digest_of(parts: Mapping[str, str]) -> str:
    listed = "\n".join(f"{name} {digest}" for name, digest in sorted(parts.items()))
    return "sha256:" + hashlib.sha256(listed.encode()).hexdigest()
