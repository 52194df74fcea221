"""The command line: ``turnout COMMAND``."""

from turnout.cli.app import main

__all__ = ["main"]
