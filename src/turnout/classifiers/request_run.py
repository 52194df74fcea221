"""Finds the request among the clauses of a text: the run of clauses with the highest score.

This module does not know how a clause got its log-odds.
"""

import math
from collections.abc import Sequence

from turnout.classifiers.clauses import OPENS

# All weights were fitted by likelihood: to attacks of kinds that the head had not seen, in which
# the place of the prompt is known, and to prompts without an attack, whose run is the whole text.
#
# A clause adds to its run: a constant, a weight for its length (up to a number of characters), and
# a negative weight for its log-odds of being an aside. Log-odds below the floor count less, since
# another task next to the prompt also looks like a request.
_EACH, _WEIGHT, _TRUST = -0.22, 0.64, 0.42
_WEIGHTY = 60
_FLOOR, _BELOW = -2.0, 0.45
# A run that begins or ends inside the text adds: anywhere, at a line's end, after a colon.
_BEGINS, _BEGINS_LINE, _BEGINS_COLON = 0.28, 0.33, -0.35
_ENDS, _ENDS_LINE, _ENDS_COLON = -1.37, 1.70, -0.62
# Log-odds above this count as calling off what came before; each unit of them adds the first value
# to the run that holds the clause, and the second to a run that begins after it.
HINT = -2.0
_HELD, _FREED = -1.0, 0.57


def request_run(
    parts: Sequence[str], scores: Sequence[float], calls: Sequence[float]
) -> tuple[int, int]:
    """The first clause of the request, and the one after its last.

    ``scores`` are each clause's log-odds of being an aside, ``calls`` those of calling off what
    came before it. A request is one run of clauses. So it is the run with the largest sum, found by
    Kadane's algorithm with values for the run's beginning and end.
    """
    best, found, total, start = -math.inf, (0, len(parts)), -math.inf, 0
    begins = 0.0
    for i, (part, score, call) in enumerate(zip(parts, scores, calls, strict=True)):
        if begins > total:
            total, start = begins, i
        called = max(call - HINT, 0.0)
        total += _own(len(part), score) + _HELD * called
        line, colon = "\n" in part, part.rstrip().endswith(OPENS)
        ends = _ENDS + _ENDS_LINE * line + _ENDS_COLON * colon if i + 1 < len(parts) else 0.0
        if total + ends > best:
            best, found = total + ends, (start, i + 1)
        begins = _BEGINS + _BEGINS_LINE * line + _BEGINS_COLON * colon + _FREED * called
    return found


def _own(length: int, score: float) -> float:
    """The value of a clause with this length and log-odds for the run that holds it."""
    share = min(length, _WEIGHTY) / _WEIGHTY
    doubt = max(score, _FLOOR) + _BELOW * min(score - _FLOOR, 0.0)
    return _EACH + _WEIGHT * share - _TRUST * (1.0 + share) * doubt
