"""How good an answer was, as an entry of a decision that is in the ledger."""

from turnout.core import InvalidRequest
from turnout.core.feedback import checked_feedback
from turnout.ledger.entries import Opinion
from turnout.ledger.store import Store


def opinion_of(
    store: Store, decision_id: str, metric: object, value: object, source: object, at_ms: int
) -> Opinion:
    """The entry. Raises InvalidRequest for an unknown decision, and for what is no feedback."""
    name, number, by = checked_feedback(metric, value, source)
    if not store.fetch("SELECT 1 FROM requests WHERE id = $1", (decision_id,)):
        raise InvalidRequest(
            f"decision {decision_id!r} is not in the ledger; turnout ledger list shows them",
            field="decision_id",
        )
    return Opinion(
        id=decision_id,
        at_ms=at_ms,
        metric=name,
        value_micro=round(number * 1_000_000),
        source=by,
    )
