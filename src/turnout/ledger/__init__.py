"""The ledger: what requests decide and cost, on disk before it is promised."""

from turnout.ledger.directory import Directory
from turnout.ledger.ledger import Ledger
from turnout.ledger.place import place_of, recorder_for, store_at
from turnout.ledger.queries import Line, all_requests, decision_of, latest_requests, request_details
from turnout.ledger.recorder import NoRecorder, Recorder
from turnout.ledger.records import pack, unpack
from turnout.ledger.savings import savings
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
    "Store",
    "all_requests",
    "decision_of",
    "latest_requests",
    "pack",
    "place_of",
    "recorder_for",
    "request_details",
    "savings",
    "standings",
    "store_at",
    "unpack",
    "verify",
]
