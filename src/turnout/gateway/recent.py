"""The latest decisions and their outcomes, for ``GET /v1/decisions/{id}``.

Invariant: bounded; holds no prompt and no answer. What must last is in the ledger.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from turnout.core import Decision, Outcome, Scan, usd
from turnout.gateway.log import scan_fields
from turnout.runtime.receipt import total

# A new record takes the memory of the oldest, which is in no processor cache if there are many:
# 2,000 cost 6 % of all CPU time.
_MAX_DECISIONS = 250

_Kept = tuple[str | None, Decision, tuple[Outcome, ...], tuple[Scan, ...]]


class Recent:
    """Remembers the latest decisions."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._feedback: dict[str, list[dict[str, Any]]] = {}

    def keep(
        self,
        tenant: str | None,
        decision: Decision,
        outcomes: Sequence[Outcome],
        scans: tuple[Scan, ...] = (),
    ) -> None:
        """Remember a tenant's decision, and forget the oldest if there are too many."""
        self._kept[decision.id] = (tenant, decision, tuple(outcomes), scans)
        while len(self._kept) > _MAX_DECISIONS:
            oldest, _ = self._kept.popitem(last=False)
            self._feedback.pop(oldest, None)

    def add_feedback(self, decision_id: str, feedback: dict[str, Any], tenant: str | None) -> bool:
        """Add feedback. Returns whether ``tenant`` (None: any) has the decision here."""
        if self._find(decision_id, tenant) is None:
            return False
        self._feedback.setdefault(decision_id, []).append(feedback)
        return True

    def _find(self, decision_id: str, tenant: str | None) -> _Kept | None:
        """The decision, if it is the tenant's."""
        found = self._kept.get(decision_id)
        return found if found is not None and tenant in (None, found[0]) else None

    def record(self, decision_id: str, tenant: str | None) -> dict[str, Any] | None:
        """The tenant's decision with its attempts and its cost as JSON-ready values."""
        found = self._find(decision_id, tenant)
        if found is None:
            return None
        _, decision, outcomes, scans = found
        record = decision.as_dict()
        record["explanation"] = decision.explain()
        record["attempts"] = [_attempt(o) for o in outcomes]
        record["cost_usd"] = usd(total([o.cost_pico_usd for o in outcomes]))
        record["scans"] = [scan_fields(scan) for scan in scans]
        record["feedback"] = self._feedback.get(decision_id, [])
        return record


def merged(recent: dict[str, Any] | None, stored: dict[str, Any] | None) -> dict[str, Any] | None:
    """What this process and the ledger know of a decision, together.

    Feedback and events come from the ledger, since any worker may have received them.
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
