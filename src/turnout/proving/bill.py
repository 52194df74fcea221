"""The comparison of the ledger with the upstream's own invoice, call by call.

Invariant: the invoice's side is computed apart from the ledger's prices and arithmetic.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from turnout.ledger import Store
from turnout.testing import InvoiceEntry

PRICES: Mapping[str, tuple[str, str, str]] = {
    "fault": ("1", "5", "0.1"),
    "fast": ("0.27", "0.40", "0.05"),
    "label": ("0.10", "0.30", "0.01"),
    "another": ("7", "21", "0.7"),
}
_SURELY = 5  # a fault asked for this often must have occurred
_PICO = 10**12


@dataclass(slots=True)
class Bill:
    """The comparison, summed up."""

    requests: int = 0
    calls: int = 0
    exact: int = 0
    estimated: int = 0
    unbilled: int = 0
    missing: int = 0
    unexpected: int = 0
    unseen: int = 0
    unmet: int = 0
    difference_pico_usd: int = 0
    differing: int = 0
    unmarked: int = 0
    estimated_pico_usd: int = 0
    invoiced_for_estimates_pico_usd: int = 0
    by_fault: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def pair(self, call: Mapping[str, Any], entry: InvoiceEntry, fault: str) -> None:
        """Compare a call with its invoice entry."""
        self.calls += 1
        owed = _invoiced(entry)
        paid = call["cost"] if call["cost"] is not None else -1
        if call["estimated"]:
            self.estimated += 1
            self.estimated_pico_usd += paid
            self.invoiced_for_estimates_pico_usd += owed
            return
        if paid == owed:
            self.exact += bool(owed)
            self.unbilled += not owed
            return
        self.by_fault[fault] += 1
        if entry.usage_sent:
            self.differing += 1
            self.difference_pico_usd += abs(paid - owed)
        else:
            self.unmarked += 1


def settle_up(
    store: Store, invoice: Sequence[InvoiceEntry], faults: Mapping[str, str], bill: Bill
) -> None:
    """Pair each request's calls with its entries, model by model, in their order."""
    entries: dict[tuple[str, str], list[InvoiceEntry]] = defaultdict(list)
    for entry in invoice:
        entries[entry.nonce, entry.model].append(entry)
    calls: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    rows = store.fetch(
        "SELECT r.request_id, c.model, c.cost, c.estimated, c.status FROM calls AS c "
        "JOIN requests AS r ON r.id = c.id ORDER BY c.id, c.n"
    )
    for ident, model, cost, estimated, status in rows:
        calls[ident, model].append({"cost": cost, "estimated": estimated, "status": status})
    # A single caller may have disconnected before its call arrived.
    met = {model for _, model in entries}
    asked = Counter(faults.values())
    bill.unmet = sum(times >= _SURELY and fault not in met for fault, times in asked.items())
    for key in entries.keys() | calls.keys():
        theirs, ours = entries.get(key, []), calls.get(key, [])
        fault = faults.get(key[0], "?")
        while len(ours) > len(theirs) and (unseen := next(filter(_may_be_unseen, ours), None)):
            ours.remove(unseen)
            bill.unseen += 1
        for call, entry in zip(ours, theirs, strict=False):
            bill.pair(call, entry, fault)
        bill.missing += sum(_invoiced(e) > 0 for e in theirs[len(ours) :])
        bill.unexpected += len(ours[len(theirs) :])


def _may_be_unseen(call: Mapping[str, Any]) -> bool:
    """Whether a call may have been given up before its request arrived."""
    return call["status"] != "ok" and (bool(call["estimated"]) or not call["cost"])


def _invoiced(entry: InvoiceEntry) -> int:
    """The upstream's charge for a call, computed from dollars."""
    kind = "fault"
    if entry.model == "f-othermodel":
        kind = "another"
    elif not entry.model.startswith("f-"):
        kind = entry.model.removeprefix("acme/")
    price = [Decimal(usd) / 10**6 for usd in PRICES[kind]]
    usd = (
        (entry.prompt_tokens - entry.cached_tokens) * price[0]
        + entry.completion_tokens * price[1]
        + entry.cached_tokens * price[2]
    )
    return int(usd * _PICO)
