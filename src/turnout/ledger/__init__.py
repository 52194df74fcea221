"""The ledger: what requests decide and cost, durable before it is promised."""

from turnout.ledger.ledger import BlockingLedger, Ledger, store_at
from turnout.ledger.queries import Line, decision_of, every, found_id, listed, shown
from turnout.ledger.records import pack, unpack
from turnout.ledger.store import Store

__all__ = [
    "BlockingLedger",
    "Ledger",
    "Line",
    "Store",
    "decision_of",
    "every",
    "found_id",
    "listed",
    "pack",
    "shown",
    "store_at",
    "unpack",
]
