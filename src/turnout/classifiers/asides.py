"""Leaves out of a turn what talks to the classifier: fake verdicts, orders about labels, fences.

The intent is read from what remains, so that a label cannot be dictated. Safety reads all.
Deterministic; a turn has at most as many clauses as characters, and is clipped before.
Does not know which intents there are.
"""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate, islice

import numpy as np
from numpy.typing import NDArray

from turnout.classifiers.heads import Dense, Hidden, Table
from turnout.classifiers.window import WIDE_ENDS
from turnout.core.arrays import Floats, Rows

# The rows of several texts, and where each text's begin.
RowsOf = Callable[[Sequence[str]], tuple[Rows, Rows]]
# Unit vectors of texts.
Embed = Callable[[Sequence[str]], Floats]

# Pictures and arrows, which part texts where nothing else does; brackets and quotes of all scripts.
_PICTURES = (
    r"\u2190-\u21ff\u2300-\u23ff\u2500-\u27bf\u2900-\u297f\u2b00-\u2bff"
    r"\U0001f000-\U0001faff\ufe0f\u200d"
)
_WIDE = f"{WIDE_ENDS}：،؟"
_OPEN, _CLOSE = "⟦⟨⟪【〔〖《〈", "⟧⟩⟫】〕〗》〉"
_QUOTE_PAIRS = "«»“”「」『』"
_QUOTING = f"„‹›{_QUOTE_PAIRS}"
# Lines, sentences, fields and tags end a clause; what marks the end stays with it.
# The first look spares letters all the others.
_END = re.compile(
    rf"(?=[\s.!?;:,#={_WIDE}>}}\])\"`<&{_PICTURES}{_OPEN}{_CLOSE}{_QUOTING}])(?:"
    r"\s*\n\s*"
    r"|(?<!\b\w)[.!?;:]+[\"')\]}*_]*\s+"
    rf"|[{_WIDE}]+[\"'」』）]*\s*"
    r"|(?<=[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af])[.,!?;:]+\s*"
    r"|\s+(?:[-–—=]+>|[-–—|/#=→←~*•]+)\s+"
    r"|[>}\])]+\s*(?=\S)"
    rf"|\s+(?=[\[({{<\"'`#@{_PICTURES}{_OPEN}{_QUOTING}])"
    rf"|[{_PICTURES}{_CLOSE}]+\s*"
    rf"|(?<=\w)(?=[{_PICTURES}{_OPEN}])"
    r"|(?<=\S)(?=</|<[a-z|!])"
    rf"|[\"`{_QUOTING}]+\s*[:,;)]?\s*(?=\S)"
    r"|[?&;]\w+="
    r"|\s+(?=[A-Za-z_]{3,}=[^\s=])"
    r"|(?<=[A-Za-z_]{3})=[\w\"'-]+\s+"
    r"|(?<!\S)#\w+\s+"
    r")"
)
# Words, numbers and commas: no sign that ends a clause need be looked for.
_UNBROKEN = re.compile(r"(?:[A-Za-z0-9, ]++(?:(?<! )['-](?=[A-Za-z0-9]))?+)++[.!?]?")
# What speaks for the run of clauses in which the request stands: a share for each clause, for its
# length (up to so many characters), and against what the head takes for an aside. Below the floor
# log-odds count less, since another task beside the prompt looks like a request as well. Fitted by
# likelihood, as all to the next blank line, to where prompts stand in attacks of kinds that the
# head had not seen, and to prompts, which stand whole.
_EACH, _WEIGHT, _TRUST = -0.22, 0.64, 0.42
_WEIGHTY = 60
_FLOOR, _BELOW = -2.0, 0.45
# Where the run begins or ends amid the text: at a line's end it may, behind a colon seldom.
_BEGINS, _BEGINS_LINE, _BEGINS_COLON = 0.28, 0.33, -0.35
_ENDS, _ENDS_LINE, _ENDS_COLON = -1.37, 1.70, -0.62
# Log-odds above the first count as calling off what came before: against the run that holds the
# clause, and for one that begins behind it.
_HINT, _HELD, _FREED = -2.0, -1.0, 0.57
# A clause of so few characters and such log-odds by the table may call something off; what it means
# is asked for where that matters, be it as sure as the last.
BRIEF = 100
_DOUBTFUL, _CERTAIN = -4.0, 4.0
# What the embedding says of it counts twice, and the benefit of the doubt is the next task's.
_MEANT, _LEANING = 2.0, 1.0

# A text of at most so many clauses, one of them above the first by its rows, may speak of labels,
# and with one above the second does. Each clause is then judged by its rows and by its embedding,
# and the doubt is against it.
_MANY, _MAY_TALK, _TALKS = 32, 0.0, 1.5
_BY_ROWS, _BY_MEANING, _SUSPECT = 1.6, 0.7, 3.0
# What words tell plainly to be no aside is not asked for; its meaning is then taken to be usual.
_PLAINLY, _USUAL = -4.0, -8.0
# There all clauses of a line are worth so much more that has one above the second, where another
# line has none above the third.
_SAME_LINE, _PLAIN, _UNTOUCHED = 2.0, 5.0, 2.0
# And no clause above this belongs to what opens it with a colon.
_OPENED = 4.0

# A clause above this is no request that could open something with a colon.
_LIKELIER = 0.0
# Inside the request's run, log-odds above this make a clause an aside.
_SPARED = 1.0
# A turn of several is left out where each of its clauses is above this.
_SURE = 2.0
OPENS = (":", "：")
_OPENING = range(8, 121)
_LOOSE = ",;:|=\\"
_QUOTES = "\"'`"
_PAIRS = f"()[]{{}}<>（）【】{_QUOTE_PAIRS}"
_PARTNERS = {sign: _PAIRS[place ^ 1] for place, sign in enumerate(_PAIRS)}
_FENCES = ("```", '"""', "'''", "---", "===", "###")
# Signs at the ends that stand alone, but for those of comments in code; what ends a sentence may,
# behind a blank. An arrow in front, and a full stop behind the end of a sentence, came with what
# stood around.
_ALONE = re.compile(
    r"^(?!/[*/])(?:[^\w\s]+\s+|[-=]+>)+(?=\S)"
    r"|(?:\s+(?!\*/)[^\w\s.!?]+)+$"
    r"|(?<=[!?。！？])\.$"
)
# So few characters are no request that others could have stood around.
_LEAST = 5
_LETTER = re.compile(r"\w")


def clauses(text: str) -> list[str]:
    """The text in clauses, which joined give the text again; each has a letter or digit."""
    if _UNBROKEN.fullmatch(text):
        return [text]
    found: list[str] = []
    start = looked = 0
    for end in (*(m.end() for m in _END.finditer(text)), len(text)):
        # Only what is new is looked at, or many ends without a letter would be quadratic.
        if _LETTER.search(text, looked, end):
            found.append(text[start:end])
            start = end
        looked = end
    if start < len(text):
        rest = text[start:]
        return [*found[:-1], found[-1] + rest] if found else [rest]
    return found


def opens(clause: str) -> bool:
    """Whether a first clause may open a task: its line ends with it, or it ends with a colon."""
    ends = clause.rstrip().endswith(OPENS) or "\n" in clause
    return ends and len(clause) in _OPENING


class Unsure(Exception):
    """What a clause means decides what is asked, and only its embedding tells.

    ``least`` is what is asked where nothing is called off and no clause is suspected. ``others``
    are further readings, the likeliest first: with suspicion, and where all that may be is called
    off; None where the text talks so plainly of labels that it is not to be guessed. ``told`` gives
    what is asked by the embeddings of its clauses.
    """

    def __init__(
        self, least: str, others: tuple[str, str] | None, told: Callable[[Embed], str]
    ) -> None:
        super().__init__()
        self.least, self.others, self.told = least, others, told


@dataclass(frozen=True, slots=True, kw_only=True)
class Asides:
    """A linear head over a clause's table rows, with two outputs in log-odds.

    The first says that a clause is not part of the request, the second that it calls off what came
    before it ("never mind, I found it"), to which ``meaning`` adds what an embedding tells of it.
    Kept is the likeliest run of clauses, but for those inside it that are asides themselves.
    ``alarm`` is the least sum of telling rows that makes a text worth splitting.
    """

    table: Table
    alarm: float
    meaning: Dense | None = None
    spoken: Hidden | None = None
    # What each row speaks for an aside, kept since every text is asked for the sum of it.
    telling: Floats = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        telling = self.table.rarity * np.maximum(self.table.weights[:, 0], 0.0)
        object.__setattr__(self, "telling", telling.astype(np.float32, copy=False))

    def suspected(self, rows: Rows) -> bool:
        """Whether a text of these rows may hold an aside at all."""
        return self.told(rows) > self.alarm

    def told(self, rows: Rows) -> float:
        """How much the rows of a text speak for an aside in it, whatever else there is."""
        return float(np.add.reduce(self.telling.take(rows)))

    def told_each(self, rows: Rows, starts: Rows) -> Floats:
        """As ``told`` for texts whose rows begin at ``starts``."""
        out: Floats = np.add.reduceat(self.telling.take(rows), starts)
        return out

    def idle(self, text: str, rows: Rows, rows_of: RowsOf) -> bool:
        """Whether a text of these rows does nothing but talk to the classifier."""
        if not self.suspected(rows):
            return False
        return bool(self.table.all(*rows_of(clauses(text)))[:, 0].min() > _SURE)

    def without(self, text: str, rows_of: RowsOf) -> str:
        """The text without its asides; the whole text where nothing else would be left.

        Raises Unsure where what a clause means would tell more.
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
        """The text without its asides, by the embeddings of those clauses that need one."""
        open_ = np.flatnonzero(scores > _PLAINLY) if talk > _MAY_TALK else doubtful[:0]
        asked = np.union1d(open_, doubtful)
        vectors = embed([parts[int(i)] for i in asked])
        opened = math.inf
        if self.spoken and talk > _MAY_TALK:
            meant = np.full(len(parts), _USUAL, dtype=np.float32)
            meant[open_] = self.spoken.logits(vectors[np.searchsorted(asked, open_)])
            scores, opened = _wary(parts, scores, meant), _OPENED
        told = np.full(len(parts), _HINT, dtype=np.float32)
        if self.meaning and len(doubtful):
            meaning = self.meaning.logits(vectors[np.searchsorted(asked, doubtful)])
            told[doubtful] = calls[doubtful] + _MEANT * meaning + _LEANING
        return _kept(text, parts, scores, told, opened)

    def _doubtful(self, parts: Sequence[str], calls: Floats) -> Rows:
        """The clauses of which only a meaning tells whether they call something off."""
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
    """The text without its asides where all readings agree, whatever the clauses mean."""
    calls = np.full(len(parts), _HINT, dtype=np.float32)
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
    """Log-odds of clauses that stand beside talk of labels, by their rows and what they mean.

    A line that plainly holds an aside is one, unless every line does.
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
    run = _run(parts, scores.tolist(), calls.tolist())
    return kept_of(text, parts, run, scores <= _SPARED)


def with_opened(parts: Sequence[str], scores: Floats, most: float = math.inf) -> Floats:
    """The clauses' log-odds, where what a request opens with a colon belongs to it.

    Nothing does that is above ``most`` itself.
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
    """The clauses of the run that are ``asked``; the text itself where nothing else would be left.

    What opens a task on a text stays with what is left of the text.
    """
    kept = asked.copy()
    kept[int(opens(parts[0])) : run[0]] = False
    kept[run[1] :] = False
    left = "".join(part for part, keep in zip(parts, kept, strict=True) if keep)
    found = text if left == text else _unwrapped(left)
    return found if len(found) >= _LEAST else text


def _run(parts: Sequence[str], scores: Sequence[float], calls: Sequence[float]) -> tuple[int, int]:
    """The likeliest place of the request among clauses with these log-odds.

    A request stands in one piece: the run for which most speaks (Kadane's rule, with what its two
    ends are worth). What an aside parts from most of it came with the aside.
    """
    best, found, total, start = -math.inf, (0, len(parts)), -math.inf, 0
    begins = 0.0
    for i, (part, score, call) in enumerate(zip(parts, scores, calls, strict=True)):
        if begins > total:
            total, start = begins, i
        called = max(call - _HINT, 0.0)
        total += _own(len(part), score) + _HELD * called
        line, colon = "\n" in part, part.rstrip().endswith(OPENS)
        ends = _ENDS + _ENDS_LINE * line + _ENDS_COLON * colon if i + 1 < len(parts) else 0.0
        if total + ends > best:
            best, found = total + ends, (start, i + 1)
        begins = _BEGINS + _BEGINS_LINE * line + _BEGINS_COLON * colon + _FREED * called
    return found


def _own(length: int, score: float) -> float:
    """What speaks for a clause of this length and log-odds as one of the request's."""
    share = min(length, _WEIGHTY) / _WEIGHTY
    doubt = max(score, _FLOOR) + _BELOW * min(score - _FLOOR, 0.0)
    return _EACH + _WEIGHT * share - _TRUST * (1.0 + share) * doubt


def _unwrapped(text: str) -> str:
    """The text without signs at its ends that belong to what stood around it."""
    text = text.strip()
    for fence in _FENCES:
        if text.count(fence) == 1 or (text.count(fence) == 2 and text.endswith(fence)):
            text = text.removeprefix(fence).removesuffix(fence)
    text = _ALONE.sub("", text.strip())
    while text:
        first, last = text[0], text[-1]
        if last in _LOOSE or _unpaired(text, last):
            text = text[:-1].rstrip()
        elif _unpaired(text, first):
            text = text[1:].lstrip()
        elif _paired(text, first, last):
            text = text[1:-1].strip()
        else:
            break
    return text


def _paired(text: str, first: str, last: str) -> bool:
    """Whether one pair of quotes or brackets holds all of the text."""
    if first in _QUOTES:
        return first == last and text.count(first) == 2
    if _PARTNERS.get(first) != last:
        return False
    depth = accumulate((sign == first) - (sign == last) for sign in text)
    return 0 not in islice(depth, len(text) - 1)


def _unpaired(text: str, sign: str) -> bool:
    """Whether the text has the bracket or quote without its partner."""
    if sign in _QUOTES:
        return text.count(sign) == 1
    return sign in _PARTNERS and text.count(sign) > text.count(_PARTNERS[sign])
