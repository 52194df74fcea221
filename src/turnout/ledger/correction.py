"""A settlement that comes twice or late, reduced to the difference that is missing.

Invariant: a request's settlements always sum to its calls, and no call counts twice.
"""

from collections.abc import Collection, Sequence

from msgspec import structs

from turnout.ledger.entries import Settlement, Use


def correction(
    end: Settlement, prior: Sequence[tuple[str, int]], written: Collection[int]
) -> Settlement | None:
    """What to add to the ``prior`` (state, cost) rows; None if nothing is missing.

    ``written`` are the calls already in the ledger.
    """
    if end.state == "released" and prior:
        return None
    if any(state != "released" for state, _ in prior):
        return None
    known = sum(cost for _, cost in prior)
    return structs.replace(
        end,
        calls=tuple(call for call in end.calls if call.n not in written),
        cost_pico_usd=end.cost_pico_usd - known,
        uses=tuple(_remaining(use, known) for use in end.uses) if prior else end.uses,
    )


def _remaining(use: Use, known_pico_usd: int) -> Use:
    """What a use adds to the release of its hold, which counted what was known then."""
    unit = use.account.rpartition(":")[2]
    counted = {"usd": known_pico_usd, "requests": use.spent}.get(unit, 0)
    return structs.replace(use, held=0, spent=max(0, use.spent - counted))
