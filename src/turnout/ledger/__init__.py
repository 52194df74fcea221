"""The ledger: what requests decide and cost, durable before it is promised."""

from turnout.ledger.directory import Directory
from turnout.ledger.export import export_jsonl, export_parquet
from turnout.ledger.ledger import Ledger
from turnout.ledger.place import default_place, place_of, recorder_for, store_at
from turnout.ledger.queries import Line, decision_of, every, found_id, listed, shown
from turnout.ledger.recorder import NoRecorder, Recorder
from turnout.ledger.records import pack, unpack
from turnout.ledger.savings import Savings, savings
from turnout.ledger.standings import standings
from turnout.ledger.store import NoLedgerYet, Store
from turnout.ledger.ticket import DONE
from turnout.ledger.verify import verify

__all__ = [
    "DONE",
    "Directory",
    "Ledger",
    "Line",
    "NoLedgerYet",
    "NoRecorder",
    "Recorder",
    "Savings",
    "Store",
    "decision_of",
    "default_place",
    "every",
    "export_jsonl",
    "export_parquet",
    "found_id",
    "listed",
    "pack",
    "place_of",
    "recorder_for",
    "savings",
    "shown",
    "standings",
    "store_at",
    "unpack",
    "verify",
]
