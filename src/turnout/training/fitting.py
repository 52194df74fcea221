"""Fits the linear heads by regularised logistic regression.

The first stage reads rows of a table, the second a sentence's embedding. The static head replaces
the second when the first stage works alone: distilled from it, it reads the mean of the embeddings
of a text's pieces, which the artefact stores as one more table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from turnout.classifiers.grams import PIECES
from turnout.core.arrays import Doubles
from turnout.training.features import Features
from turnout.training.folds import row_weights
from turnout.training.rows import INTENTS, MADE, Row

OUTPUTS = (*INTENTS, "harm", "injection")
HARM, INJECTION = -2, -1
# Chosen on folds by source; see experiments/classifiers.md.
FIRST_STRENGTH = 3.0
SECOND_STRENGTH = 1.0
STATIC_SHARE = 0.6
_STATIC_RIDGE = 1e-3
_SOURCE_POWER = 0.3
# How much our own prompts count beside public ones: they express harm more mildly than others, and
# injections in more ways.
_OWN_WEIGHTS = {"harm": 0.5, "injection": 2.0}
_ABSENT_BIAS = -9.0
_MIN_ROWS = 2
_MIN_SOURCES = 3
# How strongly directions in which sources of one label differ are damped, and the rows of a source
# that its mean is taken from.
_DAMPING = 0.03
_MIN_MEAN = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """Weights with a column an output; ``rarity`` is zero where a row is not used."""

    rarity: Doubles
    first_w: Doubles
    first_b: Doubles
    second_w: Doubles
    second_b: Doubles
    static_rarity: Doubles
    static_w: Doubles
    static_b: Doubles

    def first(self, features: Features) -> Doubles:
        """The first stage's log-odds."""
        out: Doubles = weighted(features.counts, self.rarity) @ self.first_w + self.first_b
        return out

    def second(self, features: Features) -> Doubles:
        """The log-odds that the second stage adds."""
        out: Doubles = features.vectors @ self.second_w + self.second_b
        return out

    def static(self, features: Features) -> Doubles:
        """The log-odds added in place of the second stage when the first works alone."""
        pieces = weighted(features.counts[:, :PIECES], self.static_rarity)
        out: Doubles = pieces @ self.static_w + self.static_b
        return out


def fit(rows: Sequence[Row], features: Features) -> Heads:
    """Heads for every output; one without rows of its own gives no text a high score."""
    # Made rows are only for the labels' heads; rarity and differences of sources come from prompts.
    plain = [i for i, row in enumerate(rows) if row.kind != MADE]
    prompt_rows, prompts = [rows[i] for i in plain], features.subset(np.array(plain))
    rarity = rarity_of(prompts.counts, [row.source for row in prompt_rows])
    first = _fit_heads(rows, weighted(features.counts, rarity), FIRST_STRENGTH, "liblinear")
    damping = _source_damping(prompt_rows, prompts.vectors)
    second = _fit_heads(rows, features.vectors @ damping, SECOND_STRENGTH, "lbfgs")
    common = _rarity_of_every_column(prompts.counts[:, :PIECES])
    piece_features = weighted(prompts.counts[:, :PIECES], common)
    # Only the pieces that occur: all of them would be copied in double precision, half a GB.
    used_pieces = np.unique(piece_features.indices)
    means = piece_features[:, used_pieces] @ features.pieces[used_pieces]
    static = _distil(prompt_rows, means, prompts.vectors @ damping @ second[0] + second[1])
    return Heads(
        rarity=rarity,
        first_w=first[0],
        first_b=first[1],
        second_w=damping @ second[0],
        second_b=second[1],
        static_rarity=common,
        static_w=STATIC_SHARE * (features.pieces @ static[0]),
        static_b=STATIC_SHARE * static[1],
    )


def weighted(counts: Any, rarity: Doubles) -> Any:
    """Rows of unit length, columns weighted by rarity (Salton & Buckley 1988)."""
    from scipy.sparse import diags

    scaled = counts @ diags(rarity)
    lengths = np.sqrt(np.asarray(scaled.multiply(scaled).sum(axis=1)).ravel())
    return (diags(1.0 / np.maximum(lengths, 1e-9)) @ scaled).tocsr()


def rarity_of(counts: Any, sources: Sequence[str] = ()) -> Doubles:
    """Inverse document frequencies of the columns; zero for those in too few rows or sources.

    Words of a single source show its style rather than what is asked.
    """
    rarity = _rarity_of_every_column(counts)
    rarity[_row_counts(counts) < _MIN_ROWS] = 0.0
    if sources:
        rarity[_source_counts(counts, sources) < min(_MIN_SOURCES, len(set(sources)))] = 0.0
    return rarity


def _rarity_of_every_column(counts: Any) -> Doubles:
    """As ``rarity_of``, but a column that no row has is the rarest, not unused."""
    rarity = np.log((1 + counts.shape[0]) / (1 + _row_counts(counts))) + 1
    return np.asarray(rarity, dtype=np.float16).astype(np.float64)


def _row_counts(counts: Any) -> NDArray[np.int64]:
    """How many rows have each column."""
    return np.asarray((counts > 0).sum(axis=0)).ravel()


def _source_counts(counts: Any, sources: Sequence[str]) -> NDArray[np.int64]:
    """How many sources have each column."""
    from scipy.sparse import csr_matrix

    names = {source: i for i, source in enumerate(sorted(set(sources)))}
    place = [names[source] for source in sources]
    ones = np.ones(len(sources))
    joined = csr_matrix((ones, (place, np.arange(len(sources)))), shape=(len(names), len(sources)))
    return np.asarray(((joined @ counts) > 0).sum(axis=0)).ravel()


def _source_damping(rows: Sequence[Row], vectors: NDArray[np.float32]) -> Doubles:
    """A map that damps the directions in which sources of one label differ.

    Within-class covariance normalisation (Hatch et al. 2006) of the sources' means.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault((str(row.intent), row.source), []).append(i)
    means: dict[str, list[Doubles]] = {}
    for (intent, _), index in groups.items():
        if len(index) >= _MIN_MEAN:
            means.setdefault(intent, []).append(vectors[index].mean(axis=0, dtype=np.float64))
    differences = [np.stack(m) - np.mean(m, axis=0) for m in means.values() if len(m) > 1]
    if not differences:
        return np.eye(vectors.shape[1])
    deviations = np.concatenate(differences)
    values, directions = np.linalg.eigh(deviations.T @ deviations / len(deviations))
    gain = 1.0 / np.sqrt(1.0 + _DAMPING * np.maximum(values, 0.0) / values.mean())
    return np.asarray((directions * gain) @ directions.T)


def _distil(rows: Sequence[Row], means: Doubles, targets: Doubles) -> tuple[Doubles, Doubles]:
    """Ridge regression from the means of piece vectors to the second stage's log-odds."""
    sample = row_weights(rows, [row.intent for row in rows], _SOURCE_POWER)[:, None]
    x = np.hstack([means, np.ones((len(means), 1))])
    gram = x.T @ (x * sample)
    gram += _STATIC_RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
    found = np.asarray(np.linalg.solve(gram, x.T @ (targets * sample)), dtype=np.float64)
    return found[:-1], found[-1]


def _fit_heads(
    rows: Sequence[Row], features: Any, strength: float, solver: str
) -> tuple[Doubles, Doubles]:
    """Weights and biases; dense features get one multinomial regression over the intents."""
    width = features.shape[1]
    weights, bias = np.zeros((width, len(OUTPUTS))), np.full(len(OUTPUTS), _ABSENT_BIAS)
    together = solver != "liblinear"
    for k, output in enumerate(OUTPUTS):
        if not (together and output in INTENTS):
            found = _fit_column(rows, features, output, strength, solver)
            if found is not None:
                weights[:, k], bias[k] = found
    if together:
        index = [i for i, row in enumerate(rows) if row.intent in INTENTS and row.is_prompt]
        labels = [INTENTS.index(rows[i].intent or "") for i in index]
        sample = row_weights([rows[i] for i in index], labels, _SOURCE_POWER)
        if len(set(labels)) < 2:
            # A fold may have rows of one label only, or of none.
            bias[labels[:1]] = 0.0
            return weights, bias
        model = logistic_regression(features[index], labels, sample, strength, solver)
        coefficients, base = model.coef_, model.intercept_
        if len(coefficients) == 1:
            # For two labels there is one regression, for the second against the first.
            coefficients = np.vstack([-coefficients, coefficients]) / 2
            base = np.hstack([-base, base]) / 2
        weights[:, model.classes_] = coefficients.T
        bias[model.classes_] = base
    return weights, bias


def _fit_column(
    rows: Sequence[Row], features: Any, output: str, strength: float, solver: str
) -> tuple[Doubles, float] | None:
    targets = [_target(row, output) for row in rows]
    index = [i for i, y in enumerate(targets) if y is not None]
    labels = [bool(targets[i]) for i in index]
    if len(set(labels)) < 2:
        return None
    sample = row_weights(
        [rows[i] for i in index], [_balance_class(rows[i], output) for i in index], _SOURCE_POWER
    )
    own = np.array([rows[i].is_own for i in index])
    sample = np.where(own, _OWN_WEIGHTS.get(output, 1.0), 1.0) * sample
    sample /= sample.mean()
    model = logistic_regression(features[index], labels, sample, strength, solver)
    return model.coef_[0], float(model.intercept_[0])


def _target(row: Row, output: str) -> bool | None:
    """Whether the row belongs to the output; None keeps it out of that head's training."""
    if not row.is_prompt:
        return None
    if output not in INTENTS and row.kind == MADE:
        # Rows made for the labels are neither harmless prompts to learn from nor harm.
        return None
    if output == "harm":
        return None if row.injection else row.unsafe
    if output == "injection":
        return row.injection if row.injection or not row.unsafe else None
    return row.intent == output if row.intent in INTENTS else None


def _balance_class(row: Row, output: str) -> object:
    """The class of the row when classes are balanced."""
    return row.intent if output in INTENTS else _target(row, output)


def logistic_regression(
    features: Any,
    labels: Sequence[Any] | NDArray[Any],
    sample: Doubles,
    strength: float,
    solver: str,
    *,
    passes: tuple[int, int] = (30, 300),
) -> Any:
    """The fitted model; of ``passes`` at most the first over sparse features, else the second."""
    from sklearn.linear_model import LogisticRegression

    sparse = solver == "liblinear"
    model = LogisticRegression(
        C=strength,
        solver=solver,
        max_iter=passes[0] if sparse else passes[1],
        tol=1e-2 if sparse else 1e-4,
        random_state=0,
    )
    return model.fit(features, np.asarray(labels), sample_weight=sample)
