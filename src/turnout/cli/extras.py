"""Commands that need an extra: the line that installs it."""

from importlib.util import find_spec

from turnout.core import ConfigError
from turnout.core.extras import install_command

EXTRA_OF = {
    "sklearn": "train",
    "scipy": "train",
    "matplotlib": "plot",
    "pyarrow": "parquet",
    "asyncpg": "postgres",
    "uvloop": "serve",
    "prometheus_client": "serve",
    "cryptography": "serve",
    "aiohttp": "prove",
}


def missing_extra(error: ModuleNotFoundError) -> ConfigError | None:
    """What to install, if an extra has the module that was not found; else None."""
    extra = EXTRA_OF.get((error.name or "").partition(".")[0])
    return ConfigError(f"this needs {error.name}: {install_command(extra)}") if extra else None


def require_extra(extra: str, command: str) -> None:
    """Raises ConfigError if a module of ``extra``, which ``command`` needs, is missing."""
    modules = [module for module, extra_name in EXTRA_OF.items() if extra_name == extra]
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise ConfigError(f"{command} needs {', '.join(missing)} too: {install_command(extra)}")
