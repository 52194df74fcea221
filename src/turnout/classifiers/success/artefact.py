"""The predictor on disk: one file of plain arrays and JSON, never pickled code.

Raises ConfigError where the file is missing, broken or of another schema.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from turnout.classifiers.artefact import Artefact
from turnout.classifiers.success.encoding import SCHEMA as ENCODING
from turnout.classifiers.success.expert import Blend, Expert
from turnout.classifiers.success.forest import Forest
from turnout.classifiers.success.newcomer import Newcomer
from turnout.classifiers.success.predictor import SuccessPredictor
from turnout.classifiers.success.smooth import Neighbours, Smooth
from turnout.core import ConfigError

Arrays = dict[str, npt.NDArray[Any]]

FILE = "success.zip"
SCHEMA = f"success/6+{ENCODING}"


def save(predictor: SuccessPredictor, folder: Path, card: str = "") -> None:
    """Writes the predictor into ``folder``, with its model card."""
    meta: dict[str, Any] = {
        "schema": SCHEMA,
        "experts": [{"name": e.name, "models": list(e.models)} for e in predictor.experts],
        "shared": predictor.shared is not None,
        "newcomers": [_newcomer_record(n) for n in predictor.newcomers],
    }
    if predictor.removed:
        meta["removed"] = sorted(predictor.removed)
    arrays: Arrays = {"trained_on": predictor.trained_on}
    for number, expert in enumerate(predictor.experts):
        arrays |= _with_prefix(f"expert{number}", _expert_arrays(expert))
    if predictor.shared is not None:
        arrays |= _with_prefix("shared", predictor.shared.arrays())
    Artefact(arrays=arrays, meta=meta, card=card).save(folder / FILE)


def card_of(folder: Path) -> str:
    """The model card of the predictor in ``folder``. Raises ConfigError."""
    return Artefact.load(folder / FILE).card


def load(folder: str | Path) -> SuccessPredictor:
    """The predictor in ``folder``.

    Raises ConfigError that names the file and the command that makes it.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        raise ConfigError(
            f"{path}: no predictor here; make one with: turnout train success --table PATH --out "
            f"{folder}"
        )
    artefact = Artefact.load(path)
    meta, arrays = artefact.meta, dict(artefact.arrays)
    if meta.get("schema") != SCHEMA:
        raise ConfigError(f"{path}: schema {meta.get('schema')!r} is not {SCHEMA!r}: train again")
    return SuccessPredictor(
        experts=tuple(
            _expert_from(record, _without_prefix(f"expert{number}", arrays))
            for number, record in enumerate(meta["experts"])
        ),
        shared=Forest.from_arrays(_without_prefix("shared", arrays)) if meta["shared"] else None,
        newcomers=tuple(_newcomer_from(record) for record in meta["newcomers"]),
        removed=frozenset(meta.get("removed", ())),
        trained_on=arrays["trained_on"],
        digest=artefact.digest,
    )


def _with_prefix(name: str, arrays: Mapping[str, npt.NDArray[Any]]) -> Arrays:
    return {f"{name}.{key}": array for key, array in arrays.items()}


def _without_prefix(name: str, arrays: Arrays) -> Arrays:
    start = f"{name}."
    return {k.removeprefix(start): v for k, v in arrays.items() if k.startswith(start)}


def _expert_arrays(expert: Expert) -> Arrays:
    smooth, blend = expert.smooth, expert.blend
    neighbours = smooth.neighbours
    return {
        "prior": expert.prior,
        "length": np.array(expert.length),
        "centre": smooth.centre,
        "scale": smooth.scale,
        "coefficients": smooth.coefficients,
        "places": neighbours.places.astype(np.float16),
        "departures": neighbours.departures.astype(np.float16),
        "count": np.array(neighbours.count),
        "weights": blend.weights,
        "basis": blend.basis,
        "gate": np.array([blend.slope, blend.offset]),
        "strange": np.array([blend.contrast_floor, blend.shrink_share]),
        "of_calls": np.array(neighbours.of_calls),
        **_with_prefix("forest", expert.forest.arrays()),
    }


def _expert_from(record: Mapping[str, Any], arrays: Arrays) -> Expert:
    slope, offset = arrays["gate"].tolist()
    contrast_floor, shrink_share = arrays["strange"].tolist()
    return Expert(
        name=record["name"],
        models=tuple(record["models"]),
        prior=arrays["prior"],
        length=float(arrays["length"]),
        smooth=Smooth(
            centre=arrays["centre"],
            scale=arrays["scale"],
            coefficients=arrays["coefficients"],
            neighbours=Neighbours(
                places=arrays["places"].astype(np.float32),
                departures=arrays["departures"].astype(np.float32),
                count=int(arrays["count"]),
                of_calls=bool(arrays["of_calls"]),
            ),
        ),
        forest=Forest.from_arrays(_without_prefix("forest", arrays)),
        blend=Blend(
            weights=arrays["weights"],
            basis=arrays["basis"],
            slope=slope,
            offset=offset,
            contrast_floor=contrast_floor,
            shrink_share=shrink_share,
        ),
    )


def _newcomer_record(newcomer: Newcomer) -> dict[str, Any]:
    return {
        "model": newcomer.model,
        "prior": newcomer.prior,
        "known": list(newcomer.known),
        "base": [round(float(x), 6) for x in newcomer.base],
        "weights": [round(float(x), 6) for x in newcomer.weights],
    }


def _newcomer_from(record: Mapping[str, Any]) -> Newcomer:
    return Newcomer(
        model=record["model"],
        prior=record["prior"],
        known=tuple(record["known"]),
        base=np.array(record["base"], np.float32),
        weights=np.array(record["weights"], np.float32),
    )
