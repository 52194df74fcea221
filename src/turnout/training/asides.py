"""Fits the head that distinguishes asides, and clauses that call off a task, from requests.

Templates of attacks ("moulds") are filled with prompts. A clause of the mould is an aside; a clause
of a prompt is not, and neither is any clause of an ordinary prompt. Clauses that call off a task
are learned from moulds of their own: the clause before the prompt's place. Both are learned from a
clause's table rows and from its embedding, which covers more phrases than there are rows.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.classifiers.asides import BRIEF, Embed
from turnout.classifiers.clauses import clauses, opens
from turnout.classifiers.heads import Dense, Hidden
from turnout.classifiers.openings import WORKING
from turnout.classifiers.window import clipped
from turnout.core.arrays import Doubles, Rows
from turnout.training.augment import PLACE, Filled, fillings
from turnout.training.features import counts_of
from turnout.training.fitting import logistic_regression, rarity_of, weighted
from turnout.training.rows import CALLED_OFF, INJECTION_BENIGN, LABEL_ATTACK, MADE, TALK, Row

# The share of attacks that may pass without being split, so that ordinary prompts seldom are.
_UNALARMED = 0.003
_STRENGTH = 20.0
# The asides' share of all weight, and how much less those of one mould count the more they are:
# one that holds a label gives a clause for each, one that does not gives one.
_SHARE = 0.5
_POWER = 0.5
# The share of all weight of what calls off a task, and how often a clause counts that takes back a
# part of one. The rows are held back more than those of asides: what matters is the next phrase.
_CALLS_SHARE = 0.3
_PARTLY = 8.0
_CALLS_STRENGTH, _MEANING_STRENGTH = 4.0, 10.0
# So many other clauses are embedded: those that the rows tell worst from what calls off.
_NEAREST = 15_000
# Of asides so many of a mould are embedded, none longer than this; of others those nearest by their
# rows, and every so manieth. A layer of so many units, for so many passes.
_EACH_MOULD, _LONGEST = 4, 400
_NEAR_ASIDES, _EVERY = 12_000, 5
_UNITS, _PASSES, _DECAY = 64, 6, 1e-3
# How often a clause counts that is asked and yet most like talk to a classifier: small talk, and
# words that open a task or end one, if no longer than this.
_TALK = "chat"
_LIKE_TALK = 8.0
_AT_AN_END = 80
_NEVER = 1e9
# Asides, and what calls off a task.
_OUTPUTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class AsideHead:
    """Arrays of the table, and the least sum of telling rows that an attack has.

    ``weights`` and ``bias`` have a column per output: aside, and calling off a task. ``spoken`` is
    what an embedding adds to the first, ``meaning`` to the second; None without training data.
    """

    rarity: NDArray[np.float16]
    weights: NDArray[np.float16]
    bias: Sequence[float]
    alarm: float
    meaning: Dense | None = None
    spoken: Hidden | None = None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of an artefact that store the head."""
        found: dict[str, NDArray[Any]] = {"aside_rarity": self.rarity, "aside_w": self.weights}
        if self.meaning:
            found["aside_meaning"] = self.meaning.weights
        if self.spoken:
            for name, layer in (("inner", self.spoken.inner), ("outer", self.spoken.outer)):
                found |= {f"aside_{name}_w": layer.weights, f"aside_{name}_b": layer.bias}
        return found

    def meta(self) -> dict[str, Any]:
        """The head's part of an artefact's meta."""
        meant = float(self.meaning.bias) if self.meaning else 0.0
        return {"bias": self.bias, "alarm": self.alarm, "meaning": meant}


def fit_asides(
    rows: Sequence[Row], rows_of: Callable[[str], Rows], embed: Embed | None = None
) -> AsideHead:
    """The head; if the rows have no moulds, one that finds nothing."""
    attacks = list(fillings(rows, (LABEL_ATTACK, TALK)))
    aside = {text: attack.mould for attack in attacks for text, own in _parts(attack) if not own}
    asked = {text: n for text, n in _asked(rows, attacks).items() if text not in aside}
    called = _called(rows)
    texts = list(dict.fromkeys([*aside, *asked, *called]))
    counts = counts_of([rows_of(text) for text in texts])
    weights, bias = np.zeros((counts.shape[1], _OUTPUTS)), [-_NEVER] * _OUTPUTS
    if not aside or not asked:
        nothing = weights.astype(np.float16)
        return AsideHead(rarity=nothing[:, 0], weights=nothing, bias=bias, alarm=_NEVER)
    rarity = rarity_of(counts)
    read = weighted(counts, rarity)
    share = _shares(list(aside.values()), list(asked.values()))
    labels = np.arange(len(share)) < len(aside)
    weights[:, 0], bias[0] = _fitted(read[: len(share)], labels, share, _STRENGTH)
    odds = read[: len(share)] @ weights[:, 0]
    spoken = _spoken(aside, asked, odds, embed) if embed else None
    meaning = None
    if called:
        calls = np.array([text in called for text in texts])
        partly = _partly(rows)
        often = np.array([_PARTLY if text in partly else 1.0 for text in texts])
        share = _calls_share(calls, often)
        weights[:, 1], bias[1] = _fitted(read, calls, share, _CALLS_STRENGTH)
        odds = read @ weights[:, 1]
        meaning = _meaning(texts, calls, often, odds, embed) if embed else None
    telling = np.maximum(weights[:, 0], 0.0) * rarity
    told = [telling[rows_of(clipped(attack.text))].sum() for attack in attacks]
    return AsideHead(
        rarity=rarity.astype(np.float16),
        weights=weights.astype(np.float16),
        bias=bias,
        alarm=float(np.quantile(told, _UNALARMED)),
        meaning=meaning,
        spoken=spoken,
    )


def _spoken(
    aside: Mapping[str, int], asked: Mapping[str, float], odds: Doubles, embed: Embed
) -> Hidden:
    """The head over embeddings, of asides of every mould and of requests, the nearest all."""
    from sklearn.neural_network import MLPClassifier

    of_mould: Counter[int] = Counter()
    talk = []
    # In an order of their own, so that the few of a mould are not all of its first filling.
    for text in sorted(aside, key=lambda text: text[::-1]):
        if len(text) <= _LONGEST and of_mould[aside[text]] < _EACH_MOULD:
            of_mould[aside[text]] += 1
            talk.append(text)
    near = np.argsort(-odds[len(aside) :], kind="stable")[:_NEAR_ASIDES]
    often = np.fromiter(asked.values(), dtype=np.float64)
    every = np.arange(len(asked)) % _EVERY == 0
    others = np.union1d(near, np.flatnonzero(every | (often > 1.0)))
    told = list(asked)
    vectors = embed([*talk, *(told[int(i)] for i in others)])
    # Unit vectors, scaled so that a column's mean square is one, as the solver expects.
    scale = np.sqrt(vectors.shape[1])
    model = MLPClassifier((_UNITS,), alpha=_DECAY, max_iter=_PASSES, batch_size=256, random_state=0)
    with warnings.catch_warnings():
        # So few passes never converge; more learn the moulds by heart.
        warnings.simplefilter("ignore")
        share = np.concatenate([np.ones(len(talk)), often[others]])
        model.fit(vectors * scale, np.arange(len(vectors)) < len(talk), sample_weight=share)
    weights = (model.coefs_[0] * scale, model.coefs_[1][:, 0])
    biases = (model.intercepts_[0], model.intercepts_[1][0])
    inner, outer = (
        Dense(weights=w.astype(np.float32), bias=np.asarray(b, dtype=np.float32))
        for w, b in zip(weights, biases, strict=True)
    )
    return Hidden(inner=inner, outer=outer)


def _meaning(
    texts: Sequence[str], calls: NDArray[np.bool_], often: Doubles, odds: Doubles, embed: Embed
) -> Dense:
    """The head over embeddings, of what calls off and of what is most like it by its rows."""
    brief = np.array([len(text) <= BRIEF for text in texts])
    others = np.flatnonzero(brief & ~calls)
    near = others[np.argsort(-odds[others], kind="stable")[:_NEAREST]]
    chosen = np.union1d(near, np.flatnonzero(calls | (often > 1.0)))
    vectors = embed([texts[i] for i in chosen])
    share = _calls_share(calls[chosen], often[chosen])
    weights, bias = _fitted(vectors, calls[chosen], share, _MEANING_STRENGTH, "lbfgs")
    return Dense(weights=weights.astype(np.float32), bias=np.asarray(bias, dtype=np.float32))


def _calls_share(calls: NDArray[np.bool_], often: Doubles) -> Doubles:
    """How much each clause counts when those that call off a task are learned."""
    called, other = often * calls, often * ~calls
    share: Doubles = _CALLS_SHARE * called / called.sum()
    share += (1.0 - _CALLS_SHARE) * other / other.sum()
    return share


def _partly(rows: Sequence[Row]) -> set[str]:
    """Clauses of requests that take back a part of themselves."""
    told = [row for row in rows if row.kind == CALLED_OFF and PLACE not in row.text]
    return {text for row in told for text in clauses(clipped(row.text))}


def _called(rows: Sequence[Row]) -> dict[str, None]:
    """Clauses that call off what came before: the last before the prompt of such a mould."""
    found: dict[str, None] = {}
    for filled in fillings(rows, (CALLED_OFF,)):
        before = [text for text, own in _parts(filled) if not own]
        found |= dict.fromkeys(before[-1:])
    return found


def _asked(rows: Sequence[Row], attacks: Sequence[Filled]) -> dict[str, float]:
    """Clauses of requests, and how often each counts.

    A clause that asks to ignore earlier text is not a request with a label, harmful or not.
    """
    said = [(text, attack.row) for attack in attacks for text, own in _parts(attack) if own]
    like = []
    for row in rows:
        partly = row.kind == CALLED_OFF and PLACE not in row.text
        judged = row.judged and row.kind not in (MADE, INJECTION_BENIGN) and not row.injection
        if partly or judged:
            parts = clauses(clipped(row.text))
            said += [(text, row) for text in parts]
            if len(parts) > 1 and row.intent in WORKING:
                like += [text for text in (parts[0], parts[-1]) if len(text) <= _AT_AN_END]
    like += [text for text, row in said if _like_talk(text, row)]
    return dict.fromkeys((text for text, _ in said), 1.0) | dict.fromkeys(like, _LIKE_TALK)


def _like_talk(text: str, row: Row) -> bool:
    return row.intent == _TALK or (row.intent in WORKING and opens(text))


def _shares(moulds: Sequence[int], asked: Sequence[float]) -> Doubles:
    """How much each clause counts: asides of these moulds, then others by how often they do."""
    clauses_of = Counter(moulds)
    told = np.array([clauses_of[mould] ** -_POWER for mould in moulds])
    return np.concatenate(
        [_SHARE * told / told.sum(), (1.0 - _SHARE) * np.array(asked) / np.sum(asked)]
    )


def _fitted(
    read: Any,
    labels: NDArray[np.bool_],
    share: Doubles,
    strength: float,
    solver: str = "liblinear",
) -> tuple[Doubles, float]:
    """Weights and bias."""
    sample = share / share.mean()
    model = logistic_regression(read, labels, sample, strength, solver, passes=(50, 200))
    return model.coef_[0], float(model.intercept_[0])


def _parts(attack: Filled) -> Iterator[tuple[str, bool]]:
    """Clauses of a filled mould and whether they are in the prompt; mixed ones are left out."""
    start = 0
    for text in clauses(attack.text):
        end = start + len(text)
        shared = attack.text[max(start, attack.start) : min(end, attack.end)]
        inside = sum(map(str.isalnum, shared)) if max(start, attack.start) < end else 0
        if inside in (0, sum(map(str.isalnum, text))):
            yield text, inside > 0
        start = end
