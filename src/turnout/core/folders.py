"""Where a user's own files lie, by the XDG base directory specification.

Pure: what the environment says comes in as an argument, and nothing is made or looked for.
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
