"""A settlement that comes twice or late, reduced to the difference that is missing.

Invariant: a request's settlements always sum to its calls, and no call counts twice.
"""

from collections.abc import Mapping, Sequence

from msgspec import structs

from turnout.ledger.charges import Spent, uses
from turnout.ledger.entries import Settlement


def correction(
    end: Settlement, prior: Sequence[tuple[str, int, int]], written: Mapping[int, Spent]
) -> Settlement | None:
    """What to add to the ``prior`` (state, cost, unknown calls) rows; None if nothing is missing.

    ``written`` are the calls already in the ledger, in order.
    """
    if any(state != "released" for state, _, _ in prior):
        return None
    known = sum(cost for _, cost, _ in prior)
    unknown = sum(calls for *_, calls in prior)
    counted = _counted(known, unknown, tuple(written.values())) if prior else ()
    before = uses([(use.account, use.window, use.held) for use in end.uses], counted)
    late = (
        structs.replace(use, spent=max(0, use.spent - old.spent))
        for use, old in zip(end.uses, before, strict=True)
    )
    return structs.replace(
        end,
        calls=tuple(call for call in end.calls if call.n not in written),
        cost_pico_usd=end.cost_pico_usd - known,
        # No call that a release counted has answered.
        extra_pico_usd=end.extra_pico_usd - known,
        extra_calls=end.extra_calls - len(counted),
        unknown_calls=end.unknown_calls - unknown,
        uses=tuple(late) if prior else end.uses,
    )


def _counted(known_pico_usd: int, unknown: int, written: Sequence[Spent]) -> Sequence[Spent]:
    """The calls that were written when a release counted so much: others may have followed it."""
    for end in range(len(written)):
        costs = [cost for _, cost, _ in written[:end]]
        if (sum(filter(None, costs)), costs.count(None)) == (known_pico_usd, unknown):
            return written[:end]
    return written
