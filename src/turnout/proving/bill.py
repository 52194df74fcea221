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
_CERTAIN_AFTER = 5  # a fault asked for this often must have occurred
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
    never_arrived: int = 0
    never_occurred: int = 0
    difference_pico_usd: int = 0
    differing: int = 0
    unmarked: int = 0
    estimated_pico_usd: int = 0
    invoiced_for_estimates_pico_usd: int = 0
    by_fault: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def pair(self, call: Mapping[str, Any], entry: InvoiceEntry, fault: str) -> None:
        """Compare a call with its invoice entry."""
        self.calls += 1
        invoiced = _invoiced_pico_usd(entry)
        recorded = call["cost"] if call["cost"] is not None else -1
        if call["estimated"]:
            self.estimated += 1
            self.estimated_pico_usd += recorded
            self.invoiced_for_estimates_pico_usd += invoiced
            return
        if recorded == invoiced:
            self.exact += bool(invoiced)
            self.unbilled += not invoiced
            return
        self.by_fault[fault] += 1
        if entry.usage_sent:
            self.differing += 1
            self.difference_pico_usd += abs(recorded - invoiced)
        else:
            self.unmarked += 1


def compare(
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
    occurred = {model for _, model in entries}
    requested = Counter(faults.values())
    bill.never_occurred = sum(
        number >= _CERTAIN_AFTER and fault not in occurred for fault, number in requested.items()
    )
    for key in entries.keys() | calls.keys():
        invoice_entries, ledger_calls = entries.get(key, []), calls.get(key, [])
        fault = faults.get(key[0], "?")
        while len(ledger_calls) > len(invoice_entries) and (
            never_arrived := next(filter(_may_never_have_arrived, ledger_calls), None)
        ):
            ledger_calls.remove(never_arrived)
            bill.never_arrived += 1
        for call, entry in zip(ledger_calls, invoice_entries, strict=False):
            bill.pair(call, entry, fault)
        bill.missing += sum(_invoiced_pico_usd(e) > 0 for e in invoice_entries[len(ledger_calls) :])
        bill.unexpected += len(ledger_calls[len(invoice_entries) :])


def _may_never_have_arrived(call: Mapping[str, Any]) -> bool:
    """Whether a call may have been given up before its request arrived."""
    return call["status"] != "ok" and (bool(call["estimated"]) or not call["cost"])


def _invoiced_pico_usd(entry: InvoiceEntry) -> int:
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
