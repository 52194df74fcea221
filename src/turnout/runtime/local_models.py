"""Model files that the user added, registered by name in the user's data folder.

Invariant: a file is registered with its hash, and only after the hash was verified.
"""

import os
from pathlib import Path

import orjson

from turnout.core import ConfigError
from turnout.core.folders import user_folder
from turnout.core.replacing import replacing
from turnout.providers.weights import Weights, verify


def local_models() -> dict[str, Weights]:
    """The registered files by name. Raises ConfigError when the register cannot be read."""
    register = _register()
    if register is None:
        return {}
    try:
        rows = orjson.loads(register.read_bytes())
        return {name: Weights.at(row["path"], row["sha256"]) for name, row in rows.items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{register}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{register}: not a register of models; remove it") from error


def add_local_model(name: str, weights: Weights) -> None:
    """Register a file. Raises ConfigError if its hash is wrong or nothing can be written."""
    verify(weights)
    rows = {known: _row(file) for known, file in local_models().items()}
    rows[name] = _row(weights)
    register = _register()
    if register is None:
        raise ConfigError("no folder to keep the model's name in: set HOME or XDG_DATA_HOME")
    try:
        register.parent.mkdir(parents=True, exist_ok=True)
        with replacing(register) as new:
            new.write_bytes(orjson.dumps(rows, option=orjson.OPT_INDENT_2))
    except OSError as error:
        raise ConfigError(f"{register}: cannot be written ({error.strerror})") from error


def _row(weights: Weights) -> dict[str, str]:
    return {"path": str(weights.path.resolve()), "sha256": weights.sha256}


def _register() -> Path | None:
    folder = user_folder(os.environ, "XDG_DATA_HOME", ".local/share")
    return None if folder is None else folder / "models.json"
