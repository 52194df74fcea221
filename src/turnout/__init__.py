"""Turnout, an LLM router: one decision core behind a library, a gateway and a command line.

Importing this package opens no socket and loads nothing heavy: public names are resolved on
first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# What has its home outside of ``turnout.core``.
_HOME_OF = {
    "AsyncOpenAI": "turnout.openai",
    "OpenAI": "turnout.openai",
    "Receipt": "turnout.runtime",
    "Reply": "turnout.runtime",
    "Router": "turnout.runtime",
}

# Written out for type checkers, which run nothing.
__all__ = [
    "AllRoutesFailed",
    "AsyncOpenAI",
    "BudgetExceeded",
    "Candidate",
    "ConfigError",
    "Constraints",
    "Decision",
    "Exclusion",
    "Fault",
    "InvalidRequest",
    "NoEligibleDeployment",
    "OpenAI",
    "Outcome",
    "ProviderError",
    "Receipt",
    "Reply",
    "Request",
    "RequestError",
    "Route",
    "Router",
    "RouterError",
    "Usage",
    "__version__",
]

if TYPE_CHECKING:
    from turnout.core import (
        AllRoutesFailed,
        BudgetExceeded,
        Candidate,
        ConfigError,
        Constraints,
        Decision,
        Exclusion,
        Fault,
        InvalidRequest,
        NoEligibleDeployment,
        Outcome,
        ProviderError,
        Request,
        RequestError,
        Route,
        RouterError,
        Usage,
    )
    from turnout.openai import AsyncOpenAI, OpenAI
    from turnout.runtime import Receipt, Reply, Router


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'turnout' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF.get(name, "turnout.core")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
