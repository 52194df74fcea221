"""What the runtime reports about each request: the interface that a ledger implements.

Invariant: ``held`` or ``decided`` has returned before anything is sent to a provider, ``settled``
before the answer's last event reaches the caller. An awaitable that need not be waited for is
``DONE``, so that nothing is shielded or scheduled in vain.
"""

from collections.abc import Awaitable, Mapping

from turnout.catalog import Catalog
from turnout.core import Bound, Decision, Outcome, Request
from turnout.core.budget import NO_BOUNDS
from turnout.core.feedback import checked_feedback
from turnout.ledger.directory import Directory
from turnout.ledger.ticket import DONE


class Recorder:
    """Base class that keeps nothing; a method that raises stops the request."""

    directory: Directory | None = None
    keeps: bool = True

    async def held(
        self,
        request: Request,
        decision_id: str,
        bounds: Mapping[str, Bound] = NO_BOUNDS,
    ) -> None:
        """A call that is needed to decide is about to be made.

        ``bounds`` are the most that a call to each deployment can use. Raises BudgetExceeded.
        """

    async def decided(
        self,
        request: Request,
        decision: Decision,
        bounds: Mapping[str, Bound] = NO_BOUNDS,
    ) -> None:
        """A decision was made, and its first attempt, if there is one, is about to begin.

        ``bounds`` are the most that a call to each deployment can use. Raises BudgetExceeded.
        """

    def attempted(self, outcome: Outcome) -> Awaitable[None]:
        """A call ended, of any ``outcome.route.role``.

        A failed one is on disk when the awaitable is done.
        """
        del outcome
        return DONE

    def noted(self, decision_id: str, kind: str, detail: str) -> None:
        """Something that people should know about a request; kept when it is settled."""

    async def check_writable(self) -> None:
        """Write something that changes nothing. Raises LedgerError if that is not possible."""

    def settled(self, decision: Decision) -> Awaitable[None]:
        """Nothing more will be spent on this decision; all is kept when the awaitable is done.

        It is kept as well if whoever waits for that is cancelled.
        """
        del decision
        return DONE

    async def abandoned(self, decision_id: str) -> None:
        """The request ended before its walk began, and nothing more will be spent on it."""

    async def feedback(
        self, decision_id: str, metric: str, value: float, *, source: str = "user"
    ) -> None:
        """How good an answer was.

        Raises InvalidRequest for an unknown decision, and for unusable feedback.
        """
        del decision_id  # without a ledger no decision is known
        checked_feedback(metric, value, source)

    def use_prices(self, catalog: Catalog) -> None:
        """Use another catalogue for prices from now on."""

    def close(self) -> None:
        """The runtime has ended; write everything that was reported."""


class NoRecorder(Recorder):
    """Keeps nothing; ``keeps`` tells callers that they need not compute what it would be told."""

    keeps = False
