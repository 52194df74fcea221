"""The command line: ``turnout COMMAND``."""

import sys
from collections.abc import Sequence

__all__ = ["main"]

_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with its exit code; an interrupt is one from here on."""
    try:
        # Loading takes longest, so that it is what an early Ctrl-C meets.
        from turnout.cli.app import run

        run(arguments)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
