"""A deployment that cools down, as one process of a gateway tells the others."""

from msgspec import Struct

from turnout.core.fault import FaultKind

# Failures that a changed configuration may have repaired: of a key, an account, a name, a limit.
REPAIRABLE = frozenset({"unauthorized", "no_credit", "not_found", "spend_limit"})


class Cooldown(Struct, frozen=True, kw_only=True):
    """A deployment takes no call until ``until_s`` of the machine's monotonic clock.

    ``deployment`` is its fingerprint, ``why`` the kind of the fault, ``stated`` whether its
    provider named the time, ``openings`` how often in a row its breaker opened. With
    ``comes_last`` it takes calls, but only after all others, since its rate limit is used up.
    """

    deployment: str
    until_s: float
    why: FaultKind
    stated: bool
    openings: int
    comes_last: bool = False
