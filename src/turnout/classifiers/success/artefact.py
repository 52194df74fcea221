"""The predictor on disk: plain arrays and JSON, never pickled code.

``success.json`` lists experts, models and the schema; ``success-N.npz`` holds expert N's arrays.
Raises ConfigError where a file is missing, broken or of another schema.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from turnout.classifiers.success.encoding import SCHEMA
from turnout.classifiers.success.expert import Blend, Expert, Neighbours
from turnout.classifiers.success.forest import Forest
from turnout.classifiers.success.newcomer import Newcomer
from turnout.classifiers.success.predictor import SuccessPredictor
from turnout.core import ConfigError

Arrays = dict[str, npt.NDArray[Any]]

INDEX = "success.json"


def save(predictor: SuccessPredictor, folder: Path) -> None:
    """Writes the predictor into ``folder``."""
    index = {
        "schema": SCHEMA,
        "experts": [{"name": e.name, "models": e.models} for e in predictor.experts],
        "shared": predictor.shared is not None,
        "newcomers": [_newcomer_record(n) for n in predictor.newcomers],
    }
    text = json.dumps(index, indent=1, ensure_ascii=False)
    (folder / INDEX).write_text(text + "\n", encoding="utf-8")
    for number, expert in enumerate(predictor.experts):
        _write(folder / f"success-{number}.npz", _expert_arrays(expert))
    if predictor.shared is not None:
        _write(folder / "success-shared.npz", predictor.shared.arrays())


def load(folder: str | Path, digest: str = "") -> SuccessPredictor:
    """The predictor in ``folder``.

    Raises ConfigError naming the file that cannot be used and the command that makes it.
    """
    folder = Path(folder)
    index = _read_index(folder / INDEX)
    experts = tuple(
        _expert(record, _read(folder / f"success-{number}.npz"))
        for number, record in enumerate(index["experts"])
    )
    shared = Forest.of(_read(folder / "success-shared.npz")) if index["shared"] else None
    newcomers = tuple(_newcomer(record) for record in index["newcomers"])
    return SuccessPredictor(experts=experts, shared=shared, newcomers=newcomers, digest=digest)


def _read_index(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise ConfigError(
            f"{path}: no predictor here; make one with: turnout train success --table PATH --out "
            f"{path.parent}"
        )
    try:
        index: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        schema = index["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path}: not a predictor's index: {error}") from error
    if schema != SCHEMA:
        raise ConfigError(f"{path}: schema {schema!r}, this version reads {SCHEMA!r}: train again")
    return index


def _expert_arrays(expert: Expert) -> Arrays:
    near = expert.neighbours
    return {
        "prior": expert.prior,
        "centre": expert.centre,
        "scale": expert.scale,
        "coefficients": expert.coefficients,
        "places": near.places.astype(np.float16),
        "departures": near.departures.astype(np.float16),
        "count": np.array(near.count),
        "weights": expert.blend.weights,
        "basis": expert.blend.basis,
        "gate": np.array([expert.blend.slope, expert.blend.offset]),
        **{f"forest.{name}": array for name, array in expert.forest.arrays().items()},
    }


def _expert(record: Mapping[str, Any], arrays: Arrays) -> Expert:
    forest = {k.removeprefix("forest."): v for k, v in arrays.items() if k.startswith("forest.")}
    slope, offset = arrays["gate"].tolist()
    return Expert(
        name=record["name"],
        models=tuple(record["models"]),
        prior=arrays["prior"],
        centre=arrays["centre"],
        scale=arrays["scale"],
        coefficients=arrays["coefficients"],
        forest=Forest.of(forest),
        neighbours=Neighbours(
            places=arrays["places"].astype(np.float32),
            departures=arrays["departures"].astype(np.float32),
            count=int(arrays["count"]),
        ),
        blend=Blend(
            weights=arrays["weights"], basis=arrays["basis"], slope=slope, offset=offset
        ),
    )


def _newcomer_record(newcomer: Newcomer) -> dict[str, Any]:
    return {
        "model": newcomer.model,
        "prior": newcomer.prior,
        "known": newcomer.known,
        "base": [round(float(x), 6) for x in newcomer.base],
        "weights": [round(float(x), 6) for x in newcomer.weights],
    }


def _newcomer(record: Mapping[str, Any]) -> Newcomer:
    return Newcomer(
        model=record["model"],
        prior=record["prior"],
        known=tuple(record["known"]),
        base=np.array(record["base"], np.float32),
        weights=np.array(record["weights"], np.float32),
    )


def _write(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """An ``.npz`` whose bytes depend on its arrays only, so that equal training hashes equal."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(entry, "w") as file:
                np.lib.format.write_array(file, np.asarray(arrays[name]), allow_pickle=False)


def _read(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path}: cannot be read, train again: {error}") from error
