"""A deployment that cools down: as one process of a gateway tells the others, and when it is tried.

Invariant: nothing is tried before the time that its provider has named.
"""

from collections.abc import Mapping
from math import inf

from msgspec import Struct

from turnout.core.exclusion import Exclusion
from turnout.core.fault import FaultKind

# Failures that a changed configuration may have repaired: of a key, an account, a name, a limit.
REPAIRABLE = frozenset({"unauthorized", "no_credit", "not_found", "spend_limit"})
# Failures whose time was named by the provider, or by the calendar: nothing is tried before it.
TIMED = frozenset({"rate_limited", "spend_limit"})


class Cooldown(Struct, frozen=True, kw_only=True):
    """A deployment takes no call until ``until_s`` of the machine's monotonic clock.

    ``deployment`` is its fingerprint, ``why`` the kind of the fault, ``openings`` how often in a
    row its breaker opened. With ``comes_last`` it takes calls, but only after all others, since its
    rate limit is used up.
    """

    deployment: str
    until_s: float
    why: FaultKind
    openings: int
    comes_last: bool = False


def probe_among(closed: Mapping[str, Exclusion]) -> str | None:
    """The deployment to try although all are closed: of those that cool down the first one back.

    None if there is none that may be tried.
    """
    waits = {
        name: inf if why.wait_s is None else why.wait_s
        for name, why in closed.items()
        if why.kind == "cooling_down" and why.after not in TIMED
    }
    return min(waits, key=waits.__getitem__, default=None)
