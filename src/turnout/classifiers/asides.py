"""Removes clauses that address the classifier: fake verdicts, orders about labels, fences.

Such a clause is called an aside. The intent is read from the rest of the turn, so that nobody can
dictate a label; safety reads everything. Turns are clipped before, which bounds the work.
This module does not know which intents there are.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from turnout.classifiers.clauses import COLONS, clauses, comma_ends, may_open_task
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
BRIEF_CHARACTERS = 100
_DOUBTFUL, _CERTAIN = -4.0, 4.0
# The weight of that embedding, and a bonus for the task that follows.
_CALL_OFF_WEIGHT, _TASK_BONUS = 2.0, 1.0

# The most clauses of a text about labels; the highest log-odds of an aside in it, above which it
# may be one, and above which it surely is.
_MAX_CLAUSES, _MAY_TALK, _TALKS = 32, 0.0, 1.5
# Halves of a clause are two clauses if one is above the first log-odds and the other below the
# second; so many commas of a clause are tried.
_ASIDE_HALF, _REQUEST_HALF, _MAX_COMMAS = 1.0, -1.0, 6
# In such a text: the weights of a clause's table rows and embedding, and what is added to its
# log-odds of being an aside.
_ROWS_WEIGHT, _EMBEDDING_WEIGHT, _SUSPICION = 1.6, 0.7, 3.0
# Clauses below the first log-odds are not embedded, and get the second.
_PLAIN_REQUEST, _DEFAULT_ODDS = -4.0, -8.0
# A line with a clause above the second log-odds adds the first to all of its clauses, if another
# line has no clause above the third.
_SAME_LINE_BONUS, _PLAIN_ASIDE, _CLEAN_LINE = 2.0, 5.0, 2.0
# A clause above these log-odds does not belong to the clause with a colon before it.
_MAX_OPENED = 4.0

# A clause with a colon that is above these log-odds is not a request.
_MAX_OPENER = 0.0
# Inside the request's run, log-odds above this make a clause an aside.
_MAX_KEPT = 1.0
# A turn is only asides if each of its clauses is above these log-odds.
_SURE_ASIDE = 2.0
# The least characters of a request.
_MIN_CHARACTERS = 5
_ENOUGH_LETTERS = re.compile(rf"(?:[\W_]*+[^\W_]){{{_MIN_CHARACTERS}}}")
_NO_PLACES = np.zeros(0, dtype=np.intp)


class Unsure(Exception):
    """The request depends on the meaning of a clause, and so on its embedding.

    ``plain_reading`` is the request if nothing is called off and no clause is suspected.
    ``other_readings`` are two further readings, the likelier first: without suspected clauses, and
    with everything called off that may be. It is None if the text is surely about labels, where
    guessing is not allowed. ``resolve`` returns the request, given a function that embeds clauses.
    """

    def __init__(
        self,
        plain_reading: str,
        other_readings: tuple[str, str] | None,
        resolve: Callable[[Embed], str],
    ) -> None:
        super().__init__()
        self.plain_reading = plain_reading
        self.other_readings = other_readings
        self.resolve = resolve


@dataclass(frozen=True, slots=True, kw_only=True)
class Asides:
    """A linear head over a clause's table rows, with two outputs in log-odds.

    The first says that a clause is an aside, the second that it calls off what came before it
    ("never mind, I found it"). ``call_off_head`` adds to the second what the clause's embedding
    tells, ``aside_head`` to the first. The likeliest run of clauses is kept, without the asides
    inside it. A text is split into clauses only when its rows speak for an aside by more than
    ``alarm``.
    """

    table: Table
    alarm: float
    call_off_head: Dense | None = None
    aside_head: Hidden | None = None
    # The weight of each row for an aside; kept, since every text needs a sum of these.
    row_evidence: Floats = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        row_evidence = self.table.rarity * np.maximum(self.table.weights[:, 0], 0.0)
        object.__setattr__(self, "row_evidence", row_evidence.astype(np.float32, copy=False))

    def may_hold_aside(self, rows: Rows) -> bool:
        """Whether a text with these table rows may hold an aside."""
        return self.aside_evidence(rows) > self.alarm

    def aside_evidence(self, rows: Rows) -> float:
        """The summed weight of a text's rows for an aside somewhere in it."""
        return float(np.add.reduce(self.row_evidence.take(rows)))

    def aside_evidence_of_each(self, rows: Rows, starts: Rows) -> Floats:
        """Like ``aside_evidence``, for several texts whose rows begin at ``starts``."""
        out: Floats = np.add.reduceat(self.row_evidence.take(rows), starts)
        return out

    def is_only_asides(self, text: str, rows: Rows, rows_of: RowsOf) -> bool:
        """Whether every clause of a text with these rows is surely an aside."""
        if not self.may_hold_aside(rows):
            return False
        return bool(self.table.outputs_of_all(*rows_of(clauses(text)))[:, 0].min() > _SURE_ASIDE)

    def without_asides(self, text: str, rows_of: RowsOf) -> str:
        """The text without its asides; the whole text if almost nothing would be left.

        Raises Unsure if the embedding of a clause decides.
        """
        parts = clauses(text)
        if len(parts) == 1 and next(comma_ends(text), None) is None:
            return text
        parts, outputs = self._halved(parts, rows_of)
        if len(parts) == 1:
            return text
        scores, call_off_scores = outputs.T
        if self.call_off_head is None and self.aside_head is None:
            return _request_in(text, parts, scores, call_off_scores)
        talk = float(scores.max()) if self.aside_head and len(parts) <= _MAX_CLAUSES else -math.inf
        doubtful = self._undecided(parts, call_off_scores)
        resolve = partial(
            self._without_asides_by_embedding, text, parts, scores, call_off_scores, talk, doubtful
        )
        return _without_sure_asides(text, parts, scores, talk, doubtful, resolve)

    def _halved(self, parts: Sequence[str], rows_of: RowsOf) -> tuple[list[str], Floats]:
        """The clauses and their outputs; one that is half an aside is two, parted at a comma."""
        outputs = self.table.outputs_of_all(*rows_of(parts))
        all_parts, all_outputs = list(parts), list(outputs)
        # The last first, so that places stay as they are.
        for i in reversed(np.flatnonzero(outputs[:, 0] > _MAY_TALK).tolist()):
            ends = list(islice(comma_ends(parts[i]), _MAX_COMMAS))
            if not ends:
                continue
            halves = [half for end in ends for half in (parts[i][:end], parts[i][end:])]
            found = self.table.outputs_of_all(*rows_of(halves)).reshape(len(ends), 2, -1)
            scores = found[:, :, 0]
            differ = (scores.max(axis=1) > _ASIDE_HALF) & (scores.min(axis=1) < _REQUEST_HALF)
            if differ.any():
                best = int(np.where(differ, np.ptp(scores, axis=1), 0.0).argmax())
                all_parts[i : i + 1] = halves[2 * best : 2 * best + 2]
                all_outputs[i : i + 1] = found[best]
        return all_parts, np.array(all_outputs)

    def _without_asides_by_embedding(
        self,
        text: str,
        parts: Sequence[str],
        scores: Floats,
        call_off_scores: Floats,
        talk: float,
        doubtful: Rows,
        embed: Embed,
    ) -> str:
        """The text without its asides, with embeddings of the clauses that need one."""
        suspects = np.flatnonzero(scores > _PLAIN_REQUEST) if talk > _MAY_TALK else doubtful[:0]
        embedded = np.union1d(suspects, doubtful)
        vectors = embed([parts[int(i)] for i in embedded])
        max_opened = math.inf
        if self.aside_head and talk > _MAY_TALK:
            embedding_odds = np.full(len(parts), _DEFAULT_ODDS, dtype=np.float32)
            embedding_odds[suspects] = self.aside_head.logits(
                vectors[np.searchsorted(embedded, suspects)]
            )
            scores, max_opened = _suspicious_scores(parts, scores, embedding_odds), _MAX_OPENED
        call_off = np.full(len(parts), HINT, dtype=np.float32)
        if self.call_off_head and len(doubtful):
            embedding = self.call_off_head.logits(vectors[np.searchsorted(embedded, doubtful)])
            call_off[doubtful] = (
                call_off_scores[doubtful] + _CALL_OFF_WEIGHT * embedding + _TASK_BONUS
            )
        return _request_in(text, parts, scores, call_off, max_opened)

    def _undecided(self, parts: Sequence[str], call_off_scores: Floats) -> Rows:
        """Places of the clauses whose embedding decides whether they call something off."""
        if self.call_off_head is None:
            return _NO_PLACES
        odds = call_off_scores.tolist()
        found = [
            i
            for i, part in enumerate(parts)
            if odds[i] > _DOUBTFUL and len(part) <= BRIEF_CHARACTERS
        ]
        return np.array(found, dtype=np.intp) if found else _NO_PLACES


def _without_sure_asides(
    text: str,
    parts: Sequence[str],
    scores: Floats,
    talk: float,
    doubtful: Rows,
    resolve: Callable[[Embed], str],
) -> str:
    """The text without its asides if all readings of it agree. Raises Unsure otherwise."""
    call_off_scores = np.full(len(parts), HINT, dtype=np.float32)
    least = _request_in(text, parts, scores, call_off_scores)
    if talk > _TALKS:
        raise Unsure(least, None, resolve)
    likely, max_opened = least, math.inf
    if talk > _MAY_TALK:
        scores, max_opened = _suspicious_scores(parts, scores), _MAX_OPENED
        likely = _request_in(text, parts, scores, call_off_scores, max_opened)
    most = likely
    if len(doubtful):
        call_off_scores[doubtful] = _CERTAIN
        most = _request_in(text, parts, scores, call_off_scores, max_opened)
    if not least == likely == most:
        raise Unsure(least, (likely, most), resolve)
    return least


def _suspicious_scores(
    parts: Sequence[str], scores: Floats, embedding_odds: Floats | float = 0.0
) -> Floats:
    """The clauses' log-odds of being asides in a text about labels.

    A line with a plain aside makes all of its clauses likelier asides, unless every line has one.
    """
    joint: Floats = (
        _ROWS_WEIGHT * scores
        + np.float32(_SUSPICION)
        + np.float32(_EMBEDDING_WEIGHT) * embedding_odds
    )
    line = np.cumsum([0, *("\n" in part for part in parts[:-1])])
    most = np.full(line[-1] + 1, -np.inf, dtype=np.float32)
    np.maximum.at(most, line, joint)
    if most.min() < _CLEAN_LINE:
        joint += np.float32(_SAME_LINE_BONUS) * (most > _PLAIN_ASIDE)[line]
    return joint


def _request_in(
    text: str,
    parts: Sequence[str],
    scores: Floats,
    call_off_scores: Floats,
    max_opened: float = math.inf,
) -> str:
    """The text's likeliest run of clauses without the asides in it."""
    scores = with_colon_limits(parts, scores, max_opened)
    run = request_run(parts, scores.tolist(), call_off_scores.tolist())
    is_request = scores <= _MAX_KEPT
    least = _with_enough_letters(parts, run, scores)
    if least != run:
        is_request[least[0] : least[1]] = True
    return text_of_run(text, parts, least, is_request)


def _with_enough_letters(
    parts: Sequence[str], run: tuple[int, int], scores: Floats
) -> tuple[int, int]:
    """The run, widened by the likelier neighbour until it has enough letters for a request."""
    start, end = run
    while not _ENOUGH_LETTERS.match("".join(parts[start:end])):
        before = scores[start - 1] if start else math.inf
        after = scores[end] if end < len(parts) else math.inf
        if before == after == math.inf:
            break
        start, end = (start - 1, end) if before <= after else (start, end + 1)
    return start, end


def with_colon_limits(parts: Sequence[str], scores: Floats, max_opened: float = math.inf) -> Floats:
    """The clauses' log-odds; a clause after a request with a colon gets at most that request's.

    A clause above ``max_opened`` keeps its own.
    """
    ends = [
        score <= _MAX_OPENER and part.rstrip().endswith(COLONS)
        for part, score in zip(parts, scores.tolist(), strict=True)
    ]
    if not any(ends[:-1]):
        return scores
    after_colon = 1 + np.flatnonzero(np.array(ends[:-1], dtype=bool) & (scores[1:] <= max_opened))
    scores = scores.copy()
    scores[after_colon] = np.minimum(scores[after_colon], scores[after_colon - 1])
    return scores


def text_of_run(
    text: str, parts: Sequence[str], run: tuple[int, int], is_request: NDArray[np.bool_]
) -> str:
    """The run's clauses for which ``is_request``; the whole text if almost nothing would be left.

    A first clause that introduces a task is kept even outside the run.
    """
    kept = is_request.copy()
    kept[int(may_open_task(parts[0])) : run[0]] = False
    kept[run[1] :] = False
    left = "".join(part for part, keep in zip(parts, kept, strict=True) if keep)
    found = text if left == text else unwrapped(left)
    return found if len(found) >= _MIN_CHARACTERS else text
