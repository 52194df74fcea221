"""The error tree. Exceptions appear at the public edge only; inside, failures are values.

RouterError
├── ConfigError                 the configuration, an artefact or a price cannot be used
│   └── NoLedgerYet             nothing has been recorded there yet
├── RequestError                the caller's request cannot be served as it stands
│   ├── InvalidRequest
│   │   └── NotFound            no key or budget has this id
│   ├── NoEligibleDeployment
│   └── BudgetExceeded
├── ProviderError               one deployment failed, with its fault
│   ├── Unauthorized
│   ├── RateLimited
│   ├── ContextLengthExceeded
│   ├── ContentFiltered
│   ├── Timeout
│   ├── Unavailable
│   └── BadResponse
├── AllRoutesFailed             every route of the plan failed, with all outcomes
└── LedgerError                 the ledger cannot record, so nothing may be spent; try again later
    └── StoreFailure            its database cannot be used now
"""

import copyreg
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turnout.core.budget import Standing
    from turnout.core.decision import Candidate
    from turnout.core.fault import Fault
    from turnout.core.outcome import Outcome


class RouterError(Exception):
    """Base of everything Turnout raises on purpose; ``str()`` is one line for people."""

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process the error is made of its text and attributes, without ``__init__``."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class ConfigError(RouterError):
    """The configuration names something that cannot be used; the message names the fix."""


class RequestError(RouterError):
    """The request cannot be served as it stands; ``field`` names the part at fault."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidRequest(RequestError):
    """The request is malformed."""


class NotFound(InvalidRequest):
    """No key or budget has the id that was named."""


class NoEligibleDeployment(RequestError):
    """Hard constraints exclude every deployment; ``candidates`` carry the reasons."""

    def __init__(self, candidates: Sequence["Candidate"]) -> None:
        reasons = "; ".join(f"{c.deployment}: {c.excluded}" for c in candidates if c.excluded)
        super().__init__(f"no model can take this request ({reasons or 'none configured'})")
        self.candidates = tuple(candidates)


class BudgetExceeded(RequestError):
    """The request could use more than its budgets allow; ``standings`` are the full ones."""

    def __init__(self, message: str, standings: Sequence["Standing"] = ()) -> None:
        super().__init__(message)
        self.standings = tuple(standings)


class ProviderError(RouterError):
    """A deployment failed; ``fault`` says how, and whose fault it was."""

    def __init__(self, fault: "Fault") -> None:
        super().__init__(fault.detail)
        self.fault = fault


class Unauthorized(ProviderError):
    """The provider refused the key or the account has no credit."""


class RateLimited(ProviderError):
    """The provider's rate limit is reached."""


class ContextLengthExceeded(ProviderError):
    """The prompt does not fit the model's context window."""


class ContentFiltered(ProviderError):
    """The provider's own filter refused the request."""


class Timeout(ProviderError):
    """A deadline passed."""


class Unavailable(ProviderError):
    """The provider could not be reached or answered with a server error."""


class BadResponse(ProviderError):
    """The provider answered with something that is not a valid reply."""


class AllRoutesFailed(RouterError):
    """Every route of the plan failed; ``outcomes`` holds each attempt in order."""

    def __init__(self, outcomes: Sequence["Outcome"]) -> None:
        attempts = [
            f"{o.route.deployment}: {o.error.detail if o.error else o.status}" for o in outcomes
        ]
        several = len({o.route.deployment for o in outcomes}) != 1
        failed = "every model" if several else "the model"
        super().__init__(f"{failed} failed ({'; '.join(attempts)})")
        self.outcomes = tuple(outcomes)


class LedgerError(RouterError):
    """The ledger cannot record now, so that nothing may be spent; the same call may work later."""
