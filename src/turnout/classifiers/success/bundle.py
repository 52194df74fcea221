"""The bundle: a folder with everything a decision depends on, named by the hash of its content.

``bundle.json`` maps each file to its SHA-256; the bundle's own hash is that of the sorted list, so
that evaluated = served is an equality of two hashes. Reports may lie beside it and are not counted.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What ``calibrate`` found: with this share as ``threshold`` the quality is kept on average.

    ``lost`` is the share of requests that may lose quality where that was promised instead, and
    then ``quality`` is what came of it. ``steady`` is the margin it was found with, and holds with.
    """

    quality: float
    threshold: float
    lost: float | None = None
    steady: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A loaded bundle.

    ``catalogue`` maps a model to what is known of it: ``mean_cost_usd``, ``price_per_mtok`` and
    ``quality``, where known; ``policy`` is what ``calibrate`` wrote; ``lengths`` predicts how long
    answers will be where the tables counted them.
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
        """Every promise that was calibrated. Raises ConfigError where one cannot be read."""
        try:
            return tuple(
                Promise(
                    quality=float(kept["quality"]),
                    threshold=float(kept["threshold"]),
                    lost=None if kept.get("lost") is None else float(kept["lost"]),
                    steady=float(kept.get("steady", 0.0)),
                )
                for kept in self.policy.get("promises", ())
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{self.folder / POLICY}: not a policy: {error!r}") from error

    def calibrated(self, steady: float = 0.0) -> tuple[tuple[float, float], ...]:
        """Pairs of a quality and the share that keeps it on average, by rising quality.

        Only those that were found with the margin ``steady``.
        """
        kept = (p for p in self.promises if p.lost is None and p.steady == steady)
        return tuple(sorted((p.quality, p.threshold) for p in kept))

    @property
    def usual(self) -> tuple[tuple[str, float], ...]:
        """Pairs of a model and its mean quality, where known, by name."""
        return tuple(sorted(self.means("quality").items()))

    def means(self, what: str) -> dict[str, float]:
        """``mean_cost_usd``, ``latency_ms`` or ``quality`` of each model, where known."""
        known = {model: record.get(what) for model, record in self.catalogue.items()}
        return {model: float(mean) for model, mean in known.items() if mean is not None}


def seal(folder: Path) -> str:
    """Writes the index of ``folder`` and returns its hash."""
    return _sealed(folder, _hashes(folder))


def renew(folder: Path, write: Callable[[Path], object], *, anew: bool = False) -> str:
    """Puts what ``write`` makes in an empty folder into the bundle, and returns the bundle's hash.

    Other parts stay, unless it is made ``anew``. Whatever happens before all is written, such as a
    full disk, leaves the bundle as it was. Raises ConfigError where ``folder`` cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder, prefix=".new-") as place:
            new = Path(place)
            write(new)
            parts = _hashes(new) if anew else {**_hashes(folder), **_hashes(new)}
            digest = _sealed(new, parts)
            for file in new.iterdir():
                file.replace(folder / file.name)
        for name in set(_PARTS) - set(parts):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error.strerror}") from error
    return digest


def open_bundle(folder: str | Path) -> Bundle:
    """The bundle in ``folder``.

    Raises ConfigError where a file is missing or is not the one that was sealed.
    """
    folder = Path(folder)
    if not (folder / INDEX).is_file():
        raise ConfigError(
            f"{folder}: not a bundle; make one with: turnout train success --table PATH --out "
            f"{folder}"
        )
    sealed, found = read_json(folder / INDEX), _hashes(folder)
    changed = [n for n, h in sealed.get("files", {}).items() if found.get(n) != h]
    if changed or sealed.get("hash") != _digest(found):
        raise ConfigError(
            f"{folder}: {', '.join(changed) or 'a file'} is not the one that was sealed; train "
            "again or restore it"
        )
    return Bundle(
        folder=folder,
        digest=sealed["hash"],
        predictor=load(folder),
        catalogue=_optional(folder / CATALOGUE),
        policy=_optional(folder / POLICY),
        lengths=load_lengths(folder),
    )


def write_json(path: Path, value: Any) -> None:
    """A JSON file with sorted keys, so that equal values give equal bytes."""
    text = json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises ConfigError where it is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: not a JSON object")
    return value


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _sealed(folder: Path, parts: Mapping[str, str]) -> str:
    digest = _digest(parts)
    write_json(folder / INDEX, {"hash": digest, "files": parts})
    return digest


def _hashes(folder: Path) -> dict[str, str]:
    return {
        name: "sha256:" + hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in sorted(_PARTS)
        if (folder / name).is_file()
    }


def _digest(parts: Mapping[str, str]) -> str:
    listed = "\n".join(f"{name} {digest}" for name, digest in sorted(parts.items()))
    return "sha256:" + hashlib.sha256(listed.encode()).hexdigest()
