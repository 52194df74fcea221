"""The deadlines of one exchange, and the faults of missing them.

Invariant: pure; the moment comes in as an argument.
This module does not know clients or sockets.
"""

from msgspec import Struct

from turnout.core import Fault
from turnout.providers.protocol import Timeouts


class Deadlines(Struct, frozen=True, kw_only=True):
    """When one exchange's bytes are due, on the event loop's clock."""

    timeouts: Timeouts
    first_byte: float
    total: float

    @classmethod
    def starting(cls, now: float, timeouts: Timeouts) -> "Deadlines":
        """The deadlines of an exchange that begins now."""
        total = now + timeouts.total_s
        first_byte = min(now + timeouts.first_token_s, total)
        return cls(timeouts=timeouts, first_byte=first_byte, total=total)

    def next(self, now: float, *, first: bool) -> float:
        """When the next byte is due."""
        return self.first_byte if first else min(now + self.timeouts.inter_token_s, self.total)

    def missed(self, due: float, *, first: bool) -> Fault:
        """The fault of a byte that did not come by ``due``."""
        if first:
            return no_first_byte(self.timeouts)
        if due < self.total:
            return _late(f"the answer stalled for {self.timeouts.inter_token_s:g} s")
        return _late(f"the answer took more than {self.timeouts.total_s:g} s")


def no_first_byte(timeouts: Timeouts) -> Fault:
    """The fault of an answer that has not begun."""
    return _late(f"no answer within {min(timeouts.first_token_s, timeouts.total_s):g} s")


def _late(detail: str) -> Fault:
    return Fault(kind="timeout", detail=detail, retry="transient")
