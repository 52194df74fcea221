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

from turnout.classifiers.asides import BRIEF_CHARACTERS, Embed
from turnout.classifiers.clauses import clauses, may_open_task
from turnout.classifiers.heads import Dense, Hidden
from turnout.classifiers.openings import TEXT_TASKS
from turnout.classifiers.window import clipped
from turnout.core.arrays import Doubles, Rows
from turnout.training.augment import PLACE, Filled, fillings
from turnout.training.features import counts_of
from turnout.training.fitting import logistic_regression, rarity_of, weighted
from turnout.training.rows import CALLED_OFF, INJECTION_BENIGN, LABEL_ATTACK, MADE, TALK, Row

# The share of attacks that may pass without being split, so that ordinary prompts seldom are.
_MISSED_SHARE = 0.003
_ASIDE_STRENGTH = 20.0
# The asides' share of all weight, and how much less those of one mould count the more they are:
# one that holds a label gives a clause for each, one that does not gives one.
_ASIDE_SHARE = 0.5
_MOULD_POWER = 0.5
# The share of all weight of what calls off a task, and how often a clause counts that takes back a
# part of one. The rows are held back more than those of asides: what matters is the next phrase.
_CALL_OFF_SHARE = 0.3
_TAKE_BACK_COUNTS = 8.0
_CALL_OFF_STRENGTH, _CALL_OFF_HEAD_STRENGTH = 4.0, 10.0
# So many other clauses are embedded: those that the rows tell worst from what calls off.
_NEAREST = 15_000
# Of asides so many of a mould are embedded, none longer than this; of others those nearest by their
# rows, and one in so many. A layer of so many units, for so many passes.
_EACH_MOULD, _LONGEST = 4, 400
_NEAR_ASIDES, _EVERY_NTH = 12_000, 5
_UNITS, _PASSES, _DECAY = 64, 6, 1e-3
# How often a clause counts that is asked and yet most like talk to a classifier: small talk, and
# words that open a task or end one, if no longer than this.
_TALK = "chat"
_LIKE_TALK_COUNTS = 8.0
_AT_AN_END = 80
_NEVER = 1e9
# Asides, and what calls off a task.
_OUTPUTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class AsideHead:
    """Arrays of the table, and the least sum of telling rows that an attack has.

    ``weights`` and ``bias`` have a column per output: aside, and calling off a task. ``aside_head``
    is what an embedding adds to the first, ``call_off_head`` to the second; None without training
    data.
    """

    rarity: NDArray[np.float16]
    weights: NDArray[np.float16]
    bias: Sequence[float]
    alarm: float
    call_off_head: Dense | None = None
    aside_head: Hidden | None = None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of an artefact that store the head."""
        found: dict[str, NDArray[Any]] = {"aside_rarity": self.rarity, "aside_w": self.weights}
        if self.call_off_head:
            found["aside_meaning"] = self.call_off_head.weights
        if self.aside_head:
            for name, layer in (("inner", self.aside_head.inner), ("outer", self.aside_head.outer)):
                found |= {f"aside_{name}_w": layer.weights, f"aside_{name}_b": layer.bias}
        return found

    def meta(self) -> dict[str, Any]:
        """The head's part of an artefact's meta."""
        call_off_bias = float(self.call_off_head.bias) if self.call_off_head else 0.0
        return {"bias": self.bias, "alarm": self.alarm, "meaning": call_off_bias}


def fit_asides(
    rows: Sequence[Row], rows_of: Callable[[str], Rows], embed: Embed | None = None
) -> AsideHead:
    """The head; if the rows have no moulds, one that finds nothing."""
    attacks = list(fillings(rows, (LABEL_ATTACK, TALK)))
    aside = {
        text: attack.mould for attack in attacks for text, own in _clauses_of(attack) if not own
    }
    requests = {text: n for text, n in _request_clauses(rows, attacks).items() if text not in aside}
    calling_off = _call_off_clauses(rows)
    texts = list(dict.fromkeys([*aside, *requests, *calling_off]))
    counts = counts_of([rows_of(text) for text in texts])
    weights, bias = np.zeros((counts.shape[1], _OUTPUTS)), [-_NEVER] * _OUTPUTS
    if not aside or not requests:
        nothing = weights.astype(np.float16)
        return AsideHead(rarity=nothing[:, 0], weights=nothing, bias=bias, alarm=_NEVER)
    rarity = rarity_of(counts)
    features = weighted(counts, rarity)
    clause_weights = _clause_weights(list(aside.values()), list(requests.values()))
    labels = np.arange(len(clause_weights)) < len(aside)
    weights[:, 0], bias[0] = _fit_logistic(
        features[: len(clause_weights)], labels, clause_weights, _ASIDE_STRENGTH
    )
    odds = features[: len(clause_weights)] @ weights[:, 0]
    aside_head = _fit_aside_head(aside, requests, odds, embed) if embed else None
    call_off_head = None
    if calling_off:
        calls = np.array([text in calling_off for text in texts])
        partial = _partial_take_backs(rows)
        counts_as = np.array([_TAKE_BACK_COUNTS if text in partial else 1.0 for text in texts])
        clause_weights = _call_off_weights(calls, counts_as)
        weights[:, 1], bias[1] = _fit_logistic(features, calls, clause_weights, _CALL_OFF_STRENGTH)
        odds = features @ weights[:, 1]
        call_off_head = _fit_call_off_head(texts, calls, counts_as, odds, embed) if embed else None
    row_evidence = np.maximum(weights[:, 0], 0.0) * rarity
    evidence = [row_evidence[rows_of(clipped(attack.text))].sum() for attack in attacks]
    return AsideHead(
        rarity=rarity.astype(np.float16),
        weights=weights.astype(np.float16),
        bias=bias,
        alarm=float(np.quantile(evidence, _MISSED_SHARE)),
        call_off_head=call_off_head,
        aside_head=aside_head,
    )


def _fit_aside_head(
    aside: Mapping[str, int], requests: Mapping[str, float], odds: Doubles, embed: Embed
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
    counts_as = np.fromiter(requests.values(), dtype=np.float64)
    every = np.arange(len(requests)) % _EVERY_NTH == 0
    others = np.union1d(near, np.flatnonzero(every | (counts_as > 1.0)))
    request_texts = list(requests)
    vectors = embed([*talk, *(request_texts[int(i)] for i in others)])
    # Unit vectors, scaled so that a column's mean square is one, as the solver expects.
    scale = np.sqrt(vectors.shape[1])
    model = MLPClassifier((_UNITS,), alpha=_DECAY, max_iter=_PASSES, batch_size=256, random_state=0)
    with warnings.catch_warnings():
        # So few passes never converge; more learn the moulds by heart.
        warnings.simplefilter("ignore")
        clause_weights = np.concatenate([np.ones(len(talk)), counts_as[others]])
        model.fit(
            vectors * scale, np.arange(len(vectors)) < len(talk), sample_weight=clause_weights
        )
    weights = (model.coefs_[0] * scale, model.coefs_[1][:, 0])
    biases = (model.intercepts_[0], model.intercepts_[1][0])
    inner, outer = (
        Dense(weights=w.astype(np.float32), bias=np.asarray(b, dtype=np.float32))
        for w, b in zip(weights, biases, strict=True)
    )
    return Hidden(inner=inner, outer=outer)


def _fit_call_off_head(
    texts: Sequence[str], calls: NDArray[np.bool_], counts_as: Doubles, odds: Doubles, embed: Embed
) -> Dense:
    """The head over embeddings, of what calls off and of what is most like it by its rows."""
    brief = np.array([len(text) <= BRIEF_CHARACTERS for text in texts])
    others = np.flatnonzero(brief & ~calls)
    near = others[np.argsort(-odds[others], kind="stable")[:_NEAREST]]
    chosen = np.union1d(near, np.flatnonzero(calls | (counts_as > 1.0)))
    vectors = embed([texts[i] for i in chosen])
    clause_weights = _call_off_weights(calls[chosen], counts_as[chosen])
    weights, bias = _fit_logistic(
        vectors, calls[chosen], clause_weights, _CALL_OFF_HEAD_STRENGTH, "lbfgs"
    )
    return Dense(weights=weights.astype(np.float32), bias=np.asarray(bias, dtype=np.float32))


def _call_off_weights(calls: NDArray[np.bool_], counts_as: Doubles) -> Doubles:
    """How much each clause counts when those that call off a task are learned."""
    called, other = counts_as * calls, counts_as * ~calls
    clause_weights: Doubles = _CALL_OFF_SHARE * called / called.sum()
    clause_weights += (1.0 - _CALL_OFF_SHARE) * other / other.sum()
    return clause_weights


def _partial_take_backs(rows: Sequence[Row]) -> set[str]:
    """Clauses of requests that take back a part of themselves."""
    take_backs = [row for row in rows if row.kind == CALLED_OFF and PLACE not in row.text]
    return {text for row in take_backs for text in clauses(clipped(row.text))}


def _call_off_clauses(rows: Sequence[Row]) -> dict[str, None]:
    """Clauses that call off what came before: the last before the prompt of such a mould."""
    found: dict[str, None] = {}
    for filled in fillings(rows, (CALLED_OFF,)):
        before = [text for text, own in _clauses_of(filled) if not own]
        found |= dict.fromkeys(before[-1:])
    return found


def _request_clauses(rows: Sequence[Row], attacks: Sequence[Filled]) -> dict[str, float]:
    """Clauses of requests, and how often each counts.

    A clause that asks to ignore earlier text is not a request with a label, harmful or not.
    """
    found = [(text, attack.row) for attack in attacks for text, own in _clauses_of(attack) if own]
    like_talk = []
    for row in rows:
        takes_back = row.kind == CALLED_OFF and PLACE not in row.text
        has_label = row.is_prompt and row.kind not in (MADE, INJECTION_BENIGN) and not row.injection
        if takes_back or has_label:
            parts = clauses(clipped(row.text))
            found += [(text, row) for text in parts]
            if len(parts) > 1 and row.intent in TEXT_TASKS:
                like_talk += [text for text in (parts[0], parts[-1]) if len(text) <= _AT_AN_END]
    like_talk += [text for text, row in found if _is_like_talk(text, row)]
    return dict.fromkeys((text for text, _ in found), 1.0) | dict.fromkeys(
        like_talk, _LIKE_TALK_COUNTS
    )


def _is_like_talk(text: str, row: Row) -> bool:
    return row.intent == _TALK or (row.intent in TEXT_TASKS and may_open_task(text))


def _clause_weights(moulds: Sequence[int], request_counts: Sequence[float]) -> Doubles:
    """How much each clause counts: asides of these moulds, then others by how often they do."""
    clauses_of = Counter(moulds)
    aside_weights = np.array([clauses_of[mould] ** -_MOULD_POWER for mould in moulds])
    return np.concatenate(
        [
            _ASIDE_SHARE * aside_weights / aside_weights.sum(),
            (1.0 - _ASIDE_SHARE) * np.array(request_counts) / np.sum(request_counts),
        ]
    )


def _fit_logistic(
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


def _clauses_of(attack: Filled) -> Iterator[tuple[str, bool]]:
    """Clauses of a filled mould and whether they are in the prompt; mixed ones are left out."""
    start = 0
    for text in clauses(attack.text):
        end = start + len(text)
        shared = attack.text[max(start, attack.start) : min(end, attack.end)]
        inside = sum(map(str.isalnum, shared)) if max(start, attack.start) < end else 0
        if inside in (0, sum(map(str.isalnum, text))):
            yield text, inside > 0
        start = end
