"""The admin token: random, made at the first start, in a file that only its owner can read."""

import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path

from turnout.core import ConfigError
from turnout.core.folders import user_folder

_MIN_CHARACTERS = 24


def state_dir(environ: Mapping[str, str]) -> Path:
    """``$TURNOUT_STATE_DIR``, else ``turnout`` in the user's state folder.

    Raises ConfigError if the environment has neither.
    """
    named = environ.get("TURNOUT_STATE_DIR")
    folder = Path(named) if named else user_folder(environ, "XDG_STATE_HOME", ".local/state")
    if folder is None:
        raise ConfigError("no folder for the admin token: set TURNOUT_STATE_DIR or HOME")
    return folder


def admin_token(directory: Path) -> tuple[str, bool]:
    """The token, and whether it was just made. Raises ConfigError for one that is too weak."""
    path = directory / "admin-token"
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        is_new = not path.exists() and _make(path)
        token = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigError(
            f"{directory} cannot hold the admin token ({error.strerror}); set TURNOUT_STATE_DIR to "
            "a folder that can be written"
        ) from error
    if len(token) < _MIN_CHARACTERS:
        raise ConfigError(f"{path} holds a weak token; delete it to get a new one")
    return token, is_new


def _make(path: Path) -> bool:
    """Writes a token, whole or not at all. Returns False if one was there. Raises OSError."""
    # Written under another name first: a process that dies meanwhile leaves no half token.
    descriptor, name = tempfile.mkstemp(prefix=".admin-token-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("tna_" + secrets.token_urlsafe(32) + "\n")
        _move_into_place(name, path)
    except FileExistsError:
        return False
    finally:
        Path(name).unlink(missing_ok=True)
    return True


def _move_into_place(name: str, path: Path) -> None:
    try:
        os.link(name, path)
    except FileExistsError:
        raise
    except (
        OSError
    ):  # a file system without links, where two first starts at once are a rare enough risk
        Path(name).replace(path)
