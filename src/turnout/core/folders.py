"""Folders for a user's own files, by the XDG base directory specification.

Pure: the environment is an argument, and no folder is made or looked for.
"""

from collections.abc import Mapping
from pathlib import Path


def user_folder(environ: Mapping[str, str], variable: str, usual: str) -> Path | None:
    """``turnout`` in the folder that ``variable`` names, else in ``usual`` below ``$HOME``.

    None when the environment has neither.
    """
    if environ.get(variable):
        return Path(environ[variable], "turnout")
    return Path(environ["HOME"], usual, "turnout") if environ.get("HOME") else None
