"""The version that is asked for is the one that is installed."""

from importlib.metadata import version

import pytest

from tests.cli.run import run


def test_the_version_is_the_installed_one(capfd: pytest.CaptureFixture[str]) -> None:
    """A bug report can name it, and no configuration is read for it."""
    ran = run(capfd, "--version")
    assert (ran.code, ran.out) == (0, f"turnout {version('turnout')}\n")
