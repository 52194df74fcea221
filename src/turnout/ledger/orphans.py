"""Holds that no process will settle: their leases have passed, or their owners have ended.

Invariant: while its owner may still live, a hold is freed only by its lease. The known cost of its
calls counts. This module does not know the writer.
"""

import json
import time
from collections.abc import Callable, Iterable, Sequence

from msgspec import structs

from turnout.ledger.charges import Spent, uses
from turnout.ledger.entries import NO_TOKENS, UNDECIDED, Decided, Entry, Hold, Settlement
from turnout.ledger.store import Store

IsGone = Callable[[str], bool]


class Owners:
    """Which processes write: this one (``own``), and others through it (``guests``).

    Those of a file's former owner have ``grace_s`` to come back before their holds are freed.
    """

    def __init__(self, own: str) -> None:
        self.own = own
        self.guests: set[str] = set()
        self.grace_s = 0.0
        self._ended: set[str] = set()
        # When, as long as it is not known which processes still live.
        self._opened_at_s: float | None = None

    def guest_ended(self, owner: str) -> None:
        """A guest has ended: its holds are freed at the next look."""
        self.guests.discard(owner)
        self._ended.add(owner)

    def mark_opened(self) -> None:
        """Only this process writes to the store from now on."""
        self._opened_at_s = time.monotonic()

    def gone_check(self) -> IsGone | None:
        """A function: whether an owner has ended since the last look. None if none can have."""
        grace_is_over = (
            self._opened_at_s is not None and time.monotonic() >= self._opened_at_s + self.grace_s
        )
        ended, self._ended = self._ended, set()
        if grace_is_over:
            self._opened_at_s = None
            alive = {self.own, *self.guests}
            return lambda owner: owner not in alive
        return ended.__contains__ if ended else None


def orphaned_holds(
    store: Store, now_ms: int, is_gone: IsGone | None
) -> Iterable[tuple[Hold, str | None]]:
    """The holds to free, with their charges as stored: lapsed ones, and those of lost owners."""
    rows = store.fetch(
        "SELECT id, request_id, at_ms, amount, lease_until_ms, owner, charges FROM holds "
        "WHERE lease_until_ms < $1 OR $2 = 1",
        (now_ms, int(is_gone is not None)),
    )
    for id_, request_id, at_ms, amount, lease, owner, charges in rows:
        if lease < now_ms or (is_gone is not None and is_gone(owner)):
            hold = Hold(
                id=id_,
                request_id=request_id,
                at_ms=at_ms,
                amount_pico_usd=amount,
                lease_until_ms=lease,
                owner=owner,
            )
            yield hold, charges


def release_of_stored(
    store: Store, hold: Hold, now_ms: int, charges: str | None = None
) -> Settlement:
    """The end of a hold that is known only from the store; ``charges`` are JSON as stored."""
    known = store.fetch(
        "SELECT intent, coalesce(deployment, ''), at_ms FROM requests WHERE id = $1", (hold.id,)
    )
    calls = list(written_calls(store, hold.id).values())
    end = release_of(hold, now_ms, [cost for _, cost, _ in calls])
    end = structs.replace(end, uses=uses(json.loads(charges or "[]"), calls))
    if not known:
        return end
    intent, model, at_ms = known[0]
    return structs.replace(end, intent=intent, model=model, decided_ms=at_ms)


def written_calls(store: Store, id_: str) -> dict[int, Spent]:
    """The calls of a request that are in the ledger, in order."""
    rows = store.fetch(
        "SELECT n, deployment, cost, input + cache_read + cache_write + output + reasoning "
        "FROM calls WHERE id = $1 ORDER BY n",
        (id_,),
    )
    return {n: (deployment, cost, tokens) for n, deployment, cost, tokens in rows}


def release_of(hold: Hold, at_ms: int, costs: Sequence[int | None]) -> Settlement:
    """The end of a hold that was not settled; ``costs`` are those of its calls."""
    known = [cost for cost in costs if cost is not None]
    return Settlement(
        id=hold.id,
        request_id=hold.request_id,
        at_ms=at_ms,
        state="released",
        decided_ms=hold.at_ms,
        intent=UNDECIDED,
        model="",
        answered=False,
        blocked=False,
        stand_in=False,
        cost_pico_usd=sum(known),
        extra_pico_usd=sum(known),
        extra_calls=len(costs),
        unknown_calls=len(costs) - len(known),
        tokens=NO_TOKENS,
        quality_ppm=None,
    )


def with_stored_amounts(store: Store, entry: Entry) -> Entry:
    """An unsure entry with the stored amounts of its hold; any other entry unchanged."""
    if isinstance(entry, Decided):
        return structs.replace(entry, hold=with_stored_amounts(store, entry.hold))
    if not isinstance(entry, Hold | Settlement):
        return entry
    rows = store.fetch("SELECT charges FROM holds WHERE id = $1", (entry.id,))
    held = {(a, w): n or 0 for a, w, n in json.loads((rows[0][0] if rows else None) or "[]")}
    if isinstance(entry, Hold):
        before = (
            structs.replace(c, amount=held.get((c.account, c.window), 0)) for c in entry.replaces
        )
        return structs.replace(entry, replaces=tuple(before), unsure=False)
    uses = (structs.replace(u, held=held.get((u.account, u.window), 0)) for u in entry.uses)
    return structs.replace(entry, uses=tuple(uses), unsure=False)
