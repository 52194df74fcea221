"""The command line: ``turnout COMMAND``."""

import sys
from collections.abc import Sequence

__all__ = ["main"]

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code; from here on an interrupt is exit code 130."""
    try:
        # Inside, since an early Ctrl-C comes most likely while modules load.
        from turnout.cli.app import run

        run(arguments)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
