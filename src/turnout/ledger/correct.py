"""A settlement that comes again or late, as the difference that is still missing.

Invariant: a request's settlements always sum to its calls, and none is counted twice.
"""

from collections.abc import Collection, Sequence

from turnout.ledger.entries import Settlement


def correction(
    end: Settlement, prior: Sequence[tuple[str, int]], written: Collection[int]
) -> Settlement | None:
    """What to add to the ``prior`` (state, cost) rows; None when all of it is there.

    ``written`` are the calls already in the ledger.
    """
    if end.state == "released" and prior:
        return None
    if any(state != "released" for state, _ in prior):
        return None
    return end._replace(
        calls=tuple(call for call in end.calls if call.n not in written),
        cost_pico_usd=end.cost_pico_usd - sum(cost for _, cost in prior),
    )
