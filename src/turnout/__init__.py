"""Turnout, an LLM router: one decision core behind a library, a gateway and a command line.

Importing this package opens no socket and loads nothing heavy: public names are resolved on
first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOME_OF = {
    "AllRoutesFailed": "turnout.core",
    "AsyncOpenAI": "turnout.openai",
    "BudgetExceeded": "turnout.core",
    "Candidate": "turnout.core",
    "ConfigError": "turnout.core",
    "Constraints": "turnout.core",
    "Decision": "turnout.core",
    "Exclusion": "turnout.core",
    "Fault": "turnout.core",
    "InvalidRequest": "turnout.core",
    "NoEligibleDeployment": "turnout.core",
    "OpenAI": "turnout.openai",
    "Outcome": "turnout.core",
    "ProviderError": "turnout.core",
    "Receipt": "turnout.runtime",
    "Reply": "turnout.runtime",
    "Request": "turnout.core",
    "RequestError": "turnout.core",
    "Route": "turnout.core",
    "Router": "turnout.runtime",
    "RouterError": "turnout.core",
    "Usage": "turnout.core",
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
    if name not in _HOME_OF:
        raise AttributeError(f"module 'turnout' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
