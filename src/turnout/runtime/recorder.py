"""What the runtime tells of a request as it goes: the seam where a ledger plugs in.

Invariant: ``decided`` has returned before the first byte goes upstream, ``settled`` before the
answer's last byte reaches the caller.
"""

from typing import Protocol

from turnout.core import Decision, Outcome, Request


class Recorder(Protocol):
    """Keeps what happened; raising stops the request."""

    async def decided(
        self, request: Request, decision: Decision, ceiling_pico_usd: int | None
    ) -> None:
        """A decision is made; no attempt will cost more than the ceiling, if there is one."""
        ...

    async def attempted(self, outcome: Outcome) -> None:
        """A call ended, whether it answers or was extra (see ``outcome.route.role``)."""
        ...

    async def settled(self, decision: Decision) -> None:
        """Nothing more will be spent on this decision."""
        ...


class NoRecorder:
    """Keeps nothing."""

    async def decided(
        self, request: Request, decision: Decision, ceiling_pico_usd: int | None
    ) -> None:
        """Nothing."""

    async def attempted(self, outcome: Outcome) -> None:
        """Nothing."""

    async def settled(self, decision: Decision) -> None:
        """Nothing."""
