"""The one check of feedback on an answer, whichever way it comes in."""

from numbers import Real

from turnout.core.errors import InvalidRequest

SOURCES = ("user", "judge", "label", "test")
LONGEST_METRIC = 64
MOST_VALUE = 1_000_000


def checked_feedback(metric: object, value: object, source: object) -> tuple[str, float, str]:
    """The three as they are stored. Raises InvalidRequest with field, value and what to use."""
    if not isinstance(metric, str) or not 0 < len(metric) <= LONGEST_METRIC:
        raise InvalidRequest(
            f"metric is {_shown(metric)}; use a name of 1 to {LONGEST_METRIC} letters",
            field="metric",
        )
    if not isinstance(value, Real) or not -MOST_VALUE <= float(value) <= MOST_VALUE:
        raise InvalidRequest(
            f"value is {_shown(value)}; use a number up to a million", field="value"
        )
    if not isinstance(source, str) or source not in SOURCES:
        known = ", ".join(SOURCES)
        raise InvalidRequest(f"source is {_shown(source)}; use one of {known}", field="source")
    return metric, float(value), source


def _shown(value: object) -> str:
    return "missing" if value is None else repr(value)[:100]
