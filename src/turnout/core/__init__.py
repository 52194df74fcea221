"""The nouns of routing: frozen values that know no library but the one that makes them."""

from turnout.core.budget import Bound, Budget, Standing, window_of
from turnout.core.caller import STORED_PREFIX, Caller
from turnout.core.decision import Candidate, Decision, Role, Route, Snapshot
from turnout.core.errors import (
    AllRoutesFailed,
    BadResponse,
    BudgetExceeded,
    ConfigError,
    ContentFiltered,
    ContextLengthExceeded,
    InvalidRequest,
    LedgerError,
    NoEligibleDeployment,
    NotFound,
    ProviderError,
    RateLimited,
    RequestError,
    RouterError,
    Timeout,
    Unauthorized,
    Unavailable,
)
from turnout.core.exclusion import Exclusion, ExclusionKind
from turnout.core.fault import Fault, FaultKind
from turnout.core.money import exact_usd, format_usd, pico_from_usd, pico_per_token, usd_from_pico
from turnout.core.outcome import Outcome, Usage
from turnout.core.prediction import UNSAFE, Features, Prediction, Ref
from turnout.core.readable import readable, readable_messages
from turnout.core.request import (
    AUTO,
    Body,
    Constraints,
    Dialect,
    Message,
    Request,
    check_body,
    strings,
    text_of,
)
from turnout.core.scan import Scan
from turnout.core.stream import Chunk, Delta, ToolCallDelta

__all__ = [
    "AUTO",
    "STORED_PREFIX",
    "UNSAFE",
    "AllRoutesFailed",
    "BadResponse",
    "Body",
    "Bound",
    "Budget",
    "BudgetExceeded",
    "Caller",
    "Candidate",
    "Chunk",
    "ConfigError",
    "Constraints",
    "ContentFiltered",
    "ContextLengthExceeded",
    "Decision",
    "Delta",
    "Dialect",
    "Exclusion",
    "ExclusionKind",
    "Fault",
    "FaultKind",
    "Features",
    "InvalidRequest",
    "LedgerError",
    "Message",
    "NoEligibleDeployment",
    "NotFound",
    "Outcome",
    "Prediction",
    "ProviderError",
    "RateLimited",
    "Ref",
    "Request",
    "RequestError",
    "Role",
    "Route",
    "RouterError",
    "Scan",
    "Snapshot",
    "Standing",
    "Timeout",
    "ToolCallDelta",
    "Unauthorized",
    "Unavailable",
    "Usage",
    "check_body",
    "exact_usd",
    "format_usd",
    "pico_from_usd",
    "pico_per_token",
    "readable",
    "readable_messages",
    "strings",
    "text_of",
    "usd_from_pico",
    "window_of",
]
