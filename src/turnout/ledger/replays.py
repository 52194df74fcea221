"""Answers stored so that a request is carried out once, or so that a later request finds them.

Invariant: of all requests with one id at most one holds the claim, over all processes, and only its
answer is kept. A claim ends with its answer, with its lease, or with the process that holds it.
What is stored without a claim has an id that no claim has. Answers are encrypted bytes (see the
gateway). This module does not know callers or HTTP.
"""

from collections.abc import Callable
from dataclasses import dataclass

from turnout.ledger.entries import Change
from turnout.ledger.store import Store

KEPT_MS = 24 * 3_600_000

# A single statement, so that only one of two processes can get the claim.
ACQUIRE_CLAIM = (
    "INSERT INTO replays VALUES ($1, $2, $3, $4, $5, NULL) ON CONFLICT (id) DO UPDATE SET "
    "print = excluded.print, claim = excluded.claim, owner = excluded.owner, "
    "expires_ms = excluded.expires_ms, answer = NULL WHERE replays.expires_ms <= $6"
)
STORE_ANSWER = "UPDATE replays SET answer = $1, expires_ms = $2 WHERE id = $3 AND claim = $4"
RELEASE_CLAIM = "DELETE FROM replays WHERE id = $1 AND claim = $2"
RELEASE_CLAIMS_OF = "DELETE FROM replays WHERE owner = $1 AND answer IS NULL"
# Nobody claims these: one statement stores the answer.
INSERT_ANSWER = (
    "INSERT INTO replays VALUES ($1, '', '', '', $2, $3) ON CONFLICT (id) DO UPDATE SET "
    "expires_ms = excluded.expires_ms, answer = excluded.answer"
)
DELETE_ANSWER = "DELETE FROM replays WHERE id = $1"
DELETE_EXPIRED = (
    "DELETE FROM replays WHERE id IN "
    "(SELECT id FROM replays WHERE expires_ms <= $1 ORDER BY expires_ms LIMIT 1000)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A request to carry out: ``fingerprint`` is its content's hash, ``token`` unique to it."""

    id: str
    fingerprint: str
    token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """An earlier request with the same id; without an ``answer`` it is still in progress."""

    fingerprint: str
    answer: bytes | None = None


def claim_acquisition(claim: Claim, owner: str, now_ms: int, lease_ms: int) -> Change:
    """The entry that takes a claim, unless there is another one."""
    return Change(
        ACQUIRE_CLAIM, (claim.id, claim.fingerprint, claim.token, owner, now_ms + lease_ms, now_ms)
    )


def answer_storage(claim: Claim, answer: bytes, now_ms: int) -> Change:
    """The entry that stores the answer."""
    return Change(STORE_ANSWER, (answer, now_ms + KEPT_MS, claim.id, claim.token))


def claim_release(claim: Claim) -> Change:
    """The entry that gives a claim up, so that the request can be made again."""
    return Change(RELEASE_CLAIM, (claim.id, claim.token))


def answer_insertion(id_: str, answer: bytes, now_ms: int) -> Change:
    """The entry that stores an answer without a claim, in place of one that is there."""
    return Change(INSERT_ANSWER, (id_, now_ms + KEPT_MS, answer))


def answer_deletion(id_: str) -> Change:
    """The entry that removes an answer that was stored without a claim."""
    return Change(DELETE_ANSWER, (id_,))


def stored_answer(store: Store, id_: str, now_ms: int) -> bytes | None:
    """The answer with this id, until its day is over. Raises RouterError."""
    asked = "SELECT answer FROM replays WHERE id = $1 AND expires_ms > $2"
    return next((answer for (answer,) in store.fetch(asked, (id_, now_ms))), None)


def prior_request(store: Store, claim: Claim) -> Prior | None:
    """The earlier request that has the claim; None if it was granted. Raises RouterError."""
    asked = "SELECT print, claim, answer FROM replays WHERE id = $1"
    for fingerprint, token, answer in store.fetch(asked, (claim.id,)):
        return None if token == claim.token else Prior(fingerprint=fingerprint, answer=answer)
    return Prior(fingerprint=claim.fingerprint)  # the other one has just given it up


def expired_replays(
    store: Store, now_ms: int, is_gone: Callable[[str], bool] | None
) -> list[Change]:
    """The entries that remove expired answers, and claims of owners that are ``is_gone``."""
    found = []
    if store.fetch("SELECT 1 FROM replays WHERE expires_ms <= $1 LIMIT 1", (now_ms,)):
        found.append(Change(DELETE_EXPIRED, (now_ms,)))
    if is_gone is not None:
        owners = store.fetch("SELECT DISTINCT owner FROM replays WHERE answer IS NULL")
        found += [Change(RELEASE_CLAIMS_OF, row) for row in owners if is_gone(row[0])]
    return found
