"""Finds the request among the clauses of a text: the run of clauses with the highest score.

This module does not know how a clause got its log-odds.
"""

import math
from collections.abc import Sequence

from turnout.classifiers.clauses import COLONS

# All weights were fitted by likelihood: to attacks of kinds that the head had not seen, in which
# the place of the prompt is known, and to prompts without an attack, whose run is the whole text.
#
# A clause adds to its run: a constant, a weight for its length (up to a number of characters), and
# a negative weight for its log-odds of being an aside. Log-odds below the floor count less, since
# another task next to the prompt also looks like a request.
_CLAUSE_BONUS, _LENGTH_WEIGHT, _ASIDE_WEIGHT = -0.22, 0.64, 0.42
_FULL_LENGTH = 60
_FLOOR, _BELOW_FLOOR_WEIGHT = -2.0, 0.45
# A run that begins or ends inside the text adds: anywhere, at a line's end, after a colon.
_BEGINS, _BEGINS_LINE, _BEGINS_COLON = 0.28, 0.33, -0.35
_ENDS, _ENDS_LINE, _ENDS_COLON = -1.37, 1.70, -0.62
# Log-odds above this count as calling off what came before; each unit of them adds the first value
# to the run that holds the clause, and the second to a run that begins after it.
HINT = -2.0
_CALL_OFF_INSIDE, _CALL_OFF_BEFORE = -1.0, 0.57


def request_run(
    parts: Sequence[str], scores: Sequence[float], call_off_scores: Sequence[float]
) -> tuple[int, int]:
    """The first clause of the request, and the one after its last.

    ``scores`` are each clause's log-odds of being an aside, ``call_off_scores`` those of calling
    off what came before it. A request is one run of clauses. So it is the run with the largest sum,
    found by Kadane's algorithm with values for the run's beginning and end.
    """
    best, found, total, start = -math.inf, (0, len(parts)), -math.inf, 0
    begins = 0.0
    for i, (part, score, call) in enumerate(zip(parts, scores, call_off_scores, strict=True)):
        if begins > total:
            total, start = begins, i
        called = max(call - HINT, 0.0)
        total += _clause_value(len(part), score) + _CALL_OFF_INSIDE * called
        line, colon = "\n" in part, part.rstrip().endswith(COLONS)
        ends = _ENDS + _ENDS_LINE * line + _ENDS_COLON * colon if i + 1 < len(parts) else 0.0
        if total + ends > best:
            best, found = total + ends, (start, i + 1)
        begins = _BEGINS + _BEGINS_LINE * line + _BEGINS_COLON * colon + _CALL_OFF_BEFORE * called
    return found


def _clause_value(length: int, score: float) -> float:
    """The value of a clause with this length and log-odds for the run that holds it."""
    share = min(length, _FULL_LENGTH) / _FULL_LENGTH
    doubt = max(score, _FLOOR) + _BELOW_FLOOR_WEIGHT * min(score - _FLOOR, 0.0)
    return _CLAUSE_BONUS + _LENGTH_WEIGHT * share - _ASIDE_WEIGHT * (1.0 + share) * doubt
