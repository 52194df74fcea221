"""What the runtime tells of a request as it goes: the seam where a ledger plugs in.

Invariant: ``held`` or ``decided`` has returned before the first byte goes upstream, ``settled``
before the answer's last event reaches the caller. What need not be waited for is ``DONE``, so that
nothing is shielded or scheduled in vain.
"""

from collections.abc import Awaitable, Mapping

from turnout.catalog import Catalog
from turnout.core import Bound, Decision, Outcome, Request
from turnout.core.budget import NO_BOUNDS
from turnout.core.feedback import checked_feedback
from turnout.ledger.directory import Directory
from turnout.ledger.ticket import DONE


class Recorder:
    """Keeps what happened, where a method is overridden; raising stops the request."""

    directory: Directory | None = None
    keeps: bool = True

    async def held(
        self,
        request: Request,
        decision_id: str,
        bounds: Mapping[str, Bound] = NO_BOUNDS,
    ) -> None:
        """A call that helps to decide is about to be made.

        ``bounds`` are the most that a call of each deployment uses. Raises BudgetExceeded.
        """

    async def decided(
        self,
        request: Request,
        decision: Decision,
        bounds: Mapping[str, Bound] = NO_BOUNDS,
    ) -> None:
        """A decision is made, and its first attempt is about to begin if it has any.

        ``bounds`` are the most that a call of each deployment uses. Raises BudgetExceeded.
        """

    def attempted(self, outcome: Outcome) -> Awaitable[None]:
        """A call ended, whether it answers or was extra (see ``outcome.route.role``).

        One that failed is kept when the awaitable is done.
        """
        del outcome
        return DONE

    def noted(self, decision_id: str, kind: str, detail: str) -> None:
        """Something that a person should know of a request; kept when it is settled."""

    async def probed(self) -> None:
        """Something is written that changes nothing. Raises LedgerError where nothing can be."""

    def settled(self, decision: Decision) -> Awaitable[None]:
        """Nothing more will be spent on this decision; all is kept when the awaitable is done."""
        del decision
        return DONE

    async def abandoned(self, decision_id: str) -> None:
        """The request ended before its walk began, and nothing more will be spent on it."""

    async def feedback(
        self, decision_id: str, metric: str, value: float, *, source: str = "user"
    ) -> None:
        """How good an answer was.

        Raises InvalidRequest for a decision that is not known, and for what is no feedback.
        """
        del decision_id  # who keeps no decisions knows none
        checked_feedback(metric, value, source)

    def price_by(self, catalog: Catalog) -> None:
        """From now on calls are priced by another catalogue."""

    def close(self) -> None:
        """The runtime is done; what was told is kept."""


class NoRecorder(Recorder):
    """Keeps nothing, so that nobody need work out what it is told."""

    keeps = False
