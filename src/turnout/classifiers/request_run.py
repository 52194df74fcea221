"""Finds where the request stands among the clauses of a text: the run for which most speaks.

This module does not know how a clause got its log-odds.
"""

import math
from collections.abc import Sequence

from turnout.classifiers.clauses import OPENS

# All weights were fitted by likelihood to where prompts stand in attacks of kinds that the head had
# not seen, and to prompts without an attack, whose run is the whole text.
#
# What one clause adds to its run: a constant, a weight for its length (which counts up to so many
# characters), and a weight against its log-odds of being an aside. Below the floor log-odds count
# less, since another task beside the prompt looks like a request as well.
_EACH, _WEIGHT, _TRUST = -0.22, 0.64, 0.42
_WEIGHTY = 60
_FLOOR, _BELOW = -2.0, 0.45
# What a run that begins or ends amid the text adds there: anywhere, at a line's end, after a colon.
_BEGINS, _BEGINS_LINE, _BEGINS_COLON = 0.28, 0.33, -0.35
_ENDS, _ENDS_LINE, _ENDS_COLON = -1.37, 1.70, -0.62
# Log-odds above this count as calling off what came before; what each unit of them adds to the run
# that holds the clause, and to one that begins after it.
HINT = -2.0
_HELD, _FREED = -1.0, 0.57


def request_run(
    parts: Sequence[str], scores: Sequence[float], calls: Sequence[float]
) -> tuple[int, int]:
    """The first clause of the request, and the one after its last.

    ``scores`` are each clause's log-odds of being an aside, ``calls`` those of calling off what
    came before it. A request stands in one piece, so that this is the run with the largest sum, by
    Kadane's algorithm with a value for where the run begins and ends.
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
    """What a clause of this length and log-odds adds to the run that holds it."""
    share = min(length, _WEIGHTY) / _WEIGHTY
    doubt = max(score, _FLOOR) + _BELOW * min(score - _FLOOR, 0.0)
    return _EACH + _WEIGHT * share - _TRUST * (1.0 + share) * doubt
