"""The latest decisions with what came of them, for ``GET /v1/decisions/{id}``.

Invariant: bounded; holds no prompt and no answer. A ledger keeps what must last.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from turnout.core import Decision, Outcome, Scan, usd
from turnout.gateway.log import scan_fields

# A request writes into the memory that the oldest of these leaves, which is the colder the more
# there are: 2,000 cost 6 % of all CPU time.
_MOST = 250

_Kept = tuple[str | None, Decision, tuple[Outcome, ...], int | None, tuple[Scan, ...]]


class Recent:
    """Remembers the last of them."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._feedback: dict[str, list[dict[str, Any]]] = {}

    def keep(
        self,
        tenant: str | None,
        decision: Decision,
        outcomes: Sequence[Outcome] = (),
        paid_pico_usd: int | None = None,
        scans: tuple[Scan, ...] = (),
    ) -> None:
        """Remembers a tenant's decision; the oldest one is forgotten when there are too many.

        ``paid_pico_usd`` is what all calls cost, None when that is unknown.
        """
        self._kept[decision.id] = (tenant, decision, tuple(outcomes), paid_pico_usd, scans)
        while len(self._kept) > _MOST:
            oldest, _ = self._kept.popitem(last=False)
            self._feedback.pop(oldest, None)

    def judge(self, decision_id: str, feedback: dict[str, Any], tenant: str | None) -> bool:
        """Adds feedback; whether the decision is known to ``tenant`` (None: to anyone)."""
        if self._of(decision_id, tenant) is None:
            return False
        self._feedback.setdefault(decision_id, []).append(feedback)
        return True

    def _of(self, decision_id: str, tenant: str | None) -> _Kept | None:
        """The decision, where it is the tenant's; another's is as if it were not there."""
        found = self._kept.get(decision_id)
        return found if found is not None and tenant in (None, found[0]) else None

    def record(self, decision_id: str, tenant: str | None) -> dict[str, Any] | None:
        """The tenant's decision with its attempts and its cost as JSON-ready values."""
        found = self._of(decision_id, tenant)
        if found is None:
            return None
        _, decision, outcomes, paid, scans = found
        record = decision.as_dict()
        record["explanation"] = decision.explain()
        record["attempts"] = [_attempt(o) for o in outcomes]
        record["cost_usd"] = usd(paid)
        record["scans"] = [scan_fields(scan) for scan in scans]
        record["feedback"] = self._feedback.get(decision_id, [])
        return record


def merged(recent: dict[str, Any] | None, stored: dict[str, Any] | None) -> dict[str, Any] | None:
    """What this process remembers of a decision with what the ledger has of it.

    The ledger's word on feedback and events counts, since any worker may have taken them.
    """
    if recent is None or stored is None:
        return recent or stored
    return {**stored, **recent, "events": stored["events"], "feedback": stored["feedback"]}


def _attempt(outcome: Outcome) -> dict[str, Any]:
    return {
        "model": outcome.route.model,
        "served_model": outcome.model,
        "provider": outcome.route.provider,
        "role": outcome.route.role,
        "status": outcome.status,
        "error": outcome.error.kind if outcome.error else None,
        "detail": outcome.error.detail if outcome.error else None,
        "input_tokens": outcome.usage.total_input,
        "output_tokens": outcome.usage.total_output,
        "estimated": outcome.usage.estimated,
        "cost_usd": usd(outcome.cost_pico_usd),
        "ttft_ms": outcome.ttft_ms,
        "latency_ms": outcome.latency_ms,
    }
