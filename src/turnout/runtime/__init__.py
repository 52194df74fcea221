"""The shells around the decision core: they call, wait and record."""

from turnout.ledger import NoRecorder
from turnout.runtime.accounts import Accounts
from turnout.runtime.assemble import assemble
from turnout.runtime.budgets import read_budget
from turnout.runtime.edge import failure
from turnout.runtime.engine import Engine
from turnout.runtime.ids import new_id
from turnout.runtime.offload import is_long, offload_if_long
from turnout.runtime.receipt import Receipt
from turnout.runtime.replays import Claim, LocalReplays, Replays, replays_in
from turnout.runtime.reply import Reply, chunk_body, completion, refusal_body
from turnout.runtime.router import Router
from turnout.runtime.stream import BlockingStream, Stream
from turnout.runtime.walk import Walk

__all__ = [
    "Accounts",
    "BlockingStream",
    "Claim",
    "Engine",
    "LocalReplays",
    "NoRecorder",
    "Receipt",
    "Replays",
    "Reply",
    "Router",
    "Stream",
    "Walk",
    "assemble",
    "chunk_body",
    "completion",
    "failure",
    "is_long",
    "new_id",
    "offload_if_long",
    "read_budget",
    "refusal_body",
    "replays_in",
]
