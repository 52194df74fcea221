"""Which models, and functions that verify, answer too late to be asked now.

Invariant: one that did not answer within its deadline several times in a row is not asked in
that role for a time that grows, and then one question at a time until an answer comes in time. A
model's other calls go on, since a deadline says as much about itself as about the model.
This module does not know requests or policies; its clock is an argument.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar

from turnout.core import Role
from turnout.runtime.health import HealthRules

T = TypeVar("T")

_LOG = logging.getLogger("turnout.runtime")


@dataclass(slots=True)
class _Record:
    """Late answers in a row, and how often they closed the role; times are on the clock.

    From ``back_s`` on a question may be asked again; one under way keeps others away until
    ``closed_s``.
    """

    late: int = 0
    closings: int = 0
    back_s: float = 0.0
    closed_s: float = 0.0


class Lateness:
    """What late answers came to, by role and by deployment or the name of a function.

    ``rules`` are as for failures in a row.
    """

    def __init__(
        self, rules: HealthRules | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        self._rules = rules or HealthRules()
        self._clock = clock
        self._records: dict[tuple[Role, str], _Record] = {}

    def closed(self, role: Role) -> tuple[str, ...]:
        """The deployments that are not to be asked in this role now."""
        if not self._records:
            return ()
        now = self._clock()
        return tuple([d for (r, d), it in self._records.items() if r == role and it.closed_s > now])

    async def in_time(
        self, role: Role, deployment: str, deadline_s: float, answer: Awaitable[T]
    ) -> T:
        """The answer to a question that begins now. Raises TimeoutError if it comes too late.

        None is no answer, and tells nothing of how late one would be.
        """
        asked_s = self.asked(role, deployment, deadline_s)
        try:
            async with asyncio.timeout(deadline_s):
                found = await answer
        except TimeoutError:
            self.was_late(role, deployment, asked_s)
            raise
        if found is not None:
            self.was_in_time(role, deployment)
        return found

    def asked(self, role: Role, deployment: str, deadline_s: float) -> float:
        """Note that a question begins. Returns when, which ``was_late`` wants to know."""
        now, record = self._clock(), self._records.get((role, deployment))
        if record is not None and record.closings:
            record.closed_s = max(record.closed_s, now + deadline_s)
        return now

    def was_in_time(self, role: Role, deployment: str) -> None:
        """Note that an answer came within its deadline."""
        self._records.pop((role, deployment), None)

    def was_late(self, role: Role, deployment: str, asked_s: float) -> None:
        """Note that no answer came within its deadline."""
        rules, record = self._rules, self._records.setdefault((role, deployment), _Record())
        if asked_s < record.back_s:
            return  # asked before the role was closed, or while it was: tells nothing new
        record.late += 1
        if record.late < rules.failures:
            return
        wait_s = rules.growing_cooldown_s(record.closings)
        record.closings += 1
        record.back_s = record.closed_s = self._clock() + wait_s
        fields = {"deployment": deployment, "role": role, "out_for_s": wait_s}
        _LOG.warning("answers come too late, and none is asked for", extra={"fields": fields})
