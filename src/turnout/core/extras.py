"""Optional dependencies (extras), and the line that installs them."""

from collections.abc import Iterator
from contextlib import contextmanager

from turnout.core.errors import ConfigError


def install_command(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install 'turnout[{extra}]'"


@contextmanager
def requiring_extra(extra: str, why: str) -> Iterator[None]:
    """Around an import that needs ``extra``. Raises ConfigError with ``why`` and the command."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(f"{why}: {install_command(extra)}") from error
