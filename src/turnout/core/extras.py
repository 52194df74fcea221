"""What the package does not bring by itself: the line that installs it."""

from collections.abc import Iterator
from contextlib import contextmanager

from turnout.core.errors import ConfigError


def install(extra: str) -> str:
    """The line that installs an extra."""
    return f"pip install 'turnout[{extra}]'"


@contextmanager
def needing(extra: str, why: str) -> Iterator[None]:
    """For imports of what ``extra`` brings. Raises ConfigError with ``why`` and its line."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(f"{why}: {install(extra)}") from error
