"""Removes clauses that address the classifier: fake verdicts, orders about labels, fences.

Such a clause is called an aside. The intent is read from the rest of the turn, so that nobody can
dictate a label; safety reads everything. Turns are clipped before, which bounds the work.
This module does not know which intents there are.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from turnout.classifiers.clauses import OPENS, clauses, opens
from turnout.classifiers.heads import Dense, Hidden, Table
from turnout.classifiers.request_run import HINT, request_run
from turnout.classifiers.unwrapping import unwrapped
from turnout.core.arrays import Floats, Rows

# The rows of several texts, and where each text's rows begin.
RowsOf = Callable[[Sequence[str]], tuple[Rows, Rows]]
# Unit vectors of texts.
Embed = Callable[[Sequence[str]], Floats]

# The most characters of a clause that may call off what came before, and its least log-odds by its
# table rows, above which its embedding decides; and the log-odds of one that surely does.
BRIEF = 100
_DOUBTFUL, _CERTAIN = -4.0, 4.0
# The weight of that embedding, and a bonus for the task that follows.
_MEANT, _LEANING = 2.0, 1.0

# The most clauses of a text about labels; the highest log-odds of an aside in it, above which it
# may be one, and above which it surely is.
_MANY, _MAY_TALK, _TALKS = 32, 0.0, 1.5
# In such a text: the weights of a clause's table rows and embedding, and what is added to its
# log-odds of being an aside.
_BY_ROWS, _BY_MEANING, _SUSPECT = 1.6, 0.7, 3.0
# Clauses below the first log-odds are not embedded, and get the second.
_PLAINLY, _USUAL = -4.0, -8.0
# A line with a clause above the second log-odds adds the first to all of its clauses, if another
# line has no clause above the third.
_SAME_LINE, _PLAIN, _UNTOUCHED = 2.0, 5.0, 2.0
# A clause above these log-odds does not belong to the clause with a colon before it.
_OPENED = 4.0

# A clause with a colon that is above these log-odds is not a request.
_LIKELIER = 0.0
# Inside the request's run, log-odds above this make a clause an aside.
_SPARED = 1.0
# A turn is only asides if each of its clauses is above these log-odds.
_SURE = 2.0
# The least characters of a request.
_LEAST = 5


class Unsure(Exception):
    """The request depends on the meaning of a clause, and so on its embedding.

    ``least`` is the request if nothing is called off and no clause is suspected. ``others`` are two
    further readings, the likelier first: without suspected clauses, and with everything called off
    that may be. It is None if the text is surely about labels, where guessing is not allowed.
    ``told`` returns the request, given a function that embeds clauses.
    """

    def __init__(
        self, least: str, others: tuple[str, str] | None, told: Callable[[Embed], str]
    ) -> None:
        super().__init__()
        self.least, self.others, self.told = least, others, told


@dataclass(frozen=True, slots=True, kw_only=True)
class Asides:
    """A linear head over a clause's table rows, with two outputs in log-odds.

    The first says that a clause is an aside, the second that it calls off what came before it
    ("never mind, I found it"). ``meaning`` adds to the second what the clause's embedding tells,
    ``spoken`` to the first. The likeliest run of clauses is kept, without the asides inside it.
    A text is split into clauses only when its rows speak for an aside by more than ``alarm``.
    """

    table: Table
    alarm: float
    meaning: Dense | None = None
    spoken: Hidden | None = None
    # The weight of each row for an aside; kept, since every text needs a sum of these.
    telling: Floats = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        telling = self.table.rarity * np.maximum(self.table.weights[:, 0], 0.0)
        object.__setattr__(self, "telling", telling.astype(np.float32, copy=False))

    def suspected(self, rows: Rows) -> bool:
        """Whether a text with these table rows may hold an aside."""
        return self.told(rows) > self.alarm

    def told(self, rows: Rows) -> float:
        """The summed weight of a text's rows for an aside somewhere in it."""
        return float(np.add.reduce(self.telling.take(rows)))

    def told_each(self, rows: Rows, starts: Rows) -> Floats:
        """Like ``told``, for several texts whose rows begin at ``starts``."""
        out: Floats = np.add.reduceat(self.telling.take(rows), starts)
        return out

    def idle(self, text: str, rows: Rows, rows_of: RowsOf) -> bool:
        """Whether every clause of a text with these rows is surely an aside."""
        if not self.suspected(rows):
            return False
        return bool(self.table.all(*rows_of(clauses(text)))[:, 0].min() > _SURE)

    def without(self, text: str, rows_of: RowsOf) -> str:
        """The text without its asides; the whole text if almost nothing would be left.

        Raises Unsure if the embedding of a clause decides.
        """
        parts = clauses(text)
        if len(parts) == 1:
            return text
        scores, calls = self.table.all(*rows_of(parts)).T
        if self.meaning is None and self.spoken is None:
            return _kept(text, parts, scores, calls)
        talk = float(scores.max()) if self.spoken and len(parts) <= _MANY else -math.inf
        doubtful = self._doubtful(parts, calls)
        told = partial(self._by_meaning, text, parts, scores, calls, talk, doubtful)
        return _unless_unsure(text, parts, scores, talk, doubtful, told)

    def _by_meaning(
        self,
        text: str,
        parts: Sequence[str],
        scores: Floats,
        calls: Floats,
        talk: float,
        doubtful: Rows,
        embed: Embed,
    ) -> str:
        """The text without its asides, with embeddings of the clauses that need one."""
        open_ = np.flatnonzero(scores > _PLAINLY) if talk > _MAY_TALK else doubtful[:0]
        asked = np.union1d(open_, doubtful)
        vectors = embed([parts[int(i)] for i in asked])
        opened = math.inf
        if self.spoken and talk > _MAY_TALK:
            meant = np.full(len(parts), _USUAL, dtype=np.float32)
            meant[open_] = self.spoken.logits(vectors[np.searchsorted(asked, open_)])
            scores, opened = _wary(parts, scores, meant), _OPENED
        told = np.full(len(parts), HINT, dtype=np.float32)
        if self.meaning and len(doubtful):
            meaning = self.meaning.logits(vectors[np.searchsorted(asked, doubtful)])
            told[doubtful] = calls[doubtful] + _MEANT * meaning + _LEANING
        return _kept(text, parts, scores, told, opened)

    def _doubtful(self, parts: Sequence[str], calls: Floats) -> Rows:
        """Places of the clauses whose embedding decides whether they call something off."""
        brief = np.array([len(part) <= BRIEF for part in parts])
        return np.flatnonzero(brief & (calls > _DOUBTFUL) & (self.meaning is not None))


def _unless_unsure(
    text: str,
    parts: Sequence[str],
    scores: Floats,
    talk: float,
    doubtful: Rows,
    told: Callable[[Embed], str],
) -> str:
    """The text without its asides if all readings of it agree. Raises Unsure otherwise."""
    calls = np.full(len(parts), HINT, dtype=np.float32)
    least = _kept(text, parts, scores, calls)
    if talk > _TALKS:
        raise Unsure(least, None, told)
    likely, opened = least, math.inf
    if talk > _MAY_TALK:
        scores, opened = _wary(parts, scores), _OPENED
        likely = _kept(text, parts, scores, calls, opened)
    most = likely
    if len(doubtful):
        calls[doubtful] = _CERTAIN
        most = _kept(text, parts, scores, calls, opened)
    if not least == likely == most:
        raise Unsure(least, (likely, most), told)
    return least


def _wary(parts: Sequence[str], scores: Floats, meant: Floats | float = 0.0) -> Floats:
    """The clauses' log-odds of being asides in a text about labels.

    A line with a plain aside makes all of its clauses likelier asides, unless every line has one.
    """
    joint: Floats = _BY_ROWS * scores + np.float32(_SUSPECT) + np.float32(_BY_MEANING) * meant
    line = np.cumsum([0, *("\n" in part for part in parts[:-1])])
    most = np.full(line[-1] + 1, -np.inf, dtype=np.float32)
    np.maximum.at(most, line, joint)
    if most.min() < _UNTOUCHED:
        joint += np.float32(_SAME_LINE) * (most > _PLAIN)[line]
    return joint


def _kept(
    text: str, parts: Sequence[str], scores: Floats, calls: Floats, opened: float = math.inf
) -> str:
    """The text's likeliest run of clauses without the asides in it."""
    scores = with_opened(parts, scores, opened)
    run = request_run(parts, scores.tolist(), calls.tolist())
    return kept_of(text, parts, run, scores <= _SPARED)


def with_opened(parts: Sequence[str], scores: Floats, most: float = math.inf) -> Floats:
    """The clauses' log-odds; a clause after a request with a colon gets at most that request's.

    A clause above ``most`` keeps its own.
    """
    ends = [
        score <= _LIKELIER and part.rstrip().endswith(OPENS)
        for part, score in zip(parts, scores, strict=True)
    ]
    opened = 1 + np.flatnonzero(np.array(ends[:-1], dtype=bool) & (scores[1:] <= most))
    scores = scores.copy()
    scores[opened] = np.minimum(scores[opened], scores[opened - 1])
    return scores


def kept_of(text: str, parts: Sequence[str], run: tuple[int, int], asked: NDArray[np.bool_]) -> str:
    """The clauses of the run that are ``asked``; the whole text if almost nothing would be left.

    A first clause that introduces a task is kept even outside the run.
    """
    kept = asked.copy()
    kept[int(opens(parts[0])) : run[0]] = False
    kept[run[1] :] = False
    left = "".join(part for part, keep in zip(parts, kept, strict=True) if keep)
    found = text if left == text else unwrapped(left)
    return found if len(found) >= _LEAST else text
