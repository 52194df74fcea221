"""What is learned of a deployment that has to be left alone, as one process tells it to others."""

from msgspec import Struct

from turnout.core.fault import FaultKind

# What a changed configuration may have mended: a key, an account, a name, a limit.
MENDED = frozenset({"unauthorized", "no_credit", "not_found", "spend_limit"})


class Cooldown(Struct, frozen=True, kw_only=True):
    """A deployment takes no call until ``until_s`` of the machine's monotonic clock.

    ``deployment`` is its fingerprint, ``why`` the kind of the fault, ``stated`` whether its
    provider named the time, ``openings`` how often in a row it was closed. With ``yields`` it takes
    calls, but after all others, since nothing is left of its rate limit.
    """

    deployment: str
    until_s: float
    why: FaultKind
    stated: bool
    openings: int
    yields: bool = False
