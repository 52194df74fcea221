"""How good an answer was, as an entry of a decision that is in the ledger."""

from numbers import Real

from turnout.core import InvalidRequest
from turnout.ledger.entries import Opinion
from turnout.ledger.store import Store

_LONGEST = 64


def opinion_of(
    store: Store, decision_id: str, metric: object, value: object, source: str, at_ms: int
) -> Opinion:
    """The entry.

    Raises InvalidRequest for an unknown decision, a metric without a name, or a value that is no
    number or beyond a million.
    """
    if not store.fetch("SELECT 1 FROM requests WHERE id = $1", (decision_id,)):
        raise InvalidRequest(
            f"decision {decision_id!r} is not in the ledger; turnout ledger list shows them",
            field="decision_id",
        )
    if not isinstance(metric, str) or not 0 < len(metric) <= _LONGEST:
        raise InvalidRequest(
            f"metric is {metric!r}; use a name of 1 to {_LONGEST} letters", field="metric"
        )
    if not isinstance(value, Real) or not -1e6 <= float(value) <= 1e6:
        raise InvalidRequest(f"value is {value!r}; use a number up to a million", field="value")
    return Opinion(
        id=decision_id,
        at_ms=at_ms,
        metric=metric,
        value_micro=round(float(value) * 1_000_000),
        source=source,
    )
