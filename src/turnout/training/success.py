"""Trains the success predictor from outcome tables.

Every row given is used, seeded, and only the text and the tools of a prompt are read. All tuning is
out of fold inside the rows given: members are weighted once on random folds (prompts like the
training data) and once on folds that leave whole groups of similar prompts out (prompts unlike it).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from turnout.classifiers.success.encoding import (
    asks_for_calls,
    encode_all,
    length_of,
    without_likeness,
)
from turnout.classifiers.success.expert import PAIR, Expert, forest_inputs, reads_levels
from turnout.classifiers.success.forest import Forest
from turnout.classifiers.success.predictor import SuccessPredictor, prompt_hashes
from turnout.core import ConfigError
from turnout.core.arrays import Floats, Ints
from turnout.core.plural import many
from turnout.evaluation.outcome_table import OutcomeTable
from turnout.features.prompt import row_text
from turnout.training.blending import OutOfFold, blend, plain_blend
from turnout.training.forest import grow, grow_pair
from turnout.training.inner_folds import group_folds, random_folds
from turnout.training.smooth import departures, fit_smooth, model_means, out_of_fold_departures

Progress = Callable[[str, float], None]

_TREES = 100
_TREES_OUT_OF_FOLD = 40
SMALLEST_TABLE = 5
FEW_PROMPTS = 50  # on fewer, little can be learned beyond the models' means
_SHARED_MODELS = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """One table ready for training: encoded prompts, scores with NaN, and the texts' hashes."""

    name: str
    models: tuple[str, ...]
    encoded: Floats
    score: Floats
    texts: tuple[str, ...]

    def rows(self, chosen: Ints) -> "Examples":
        """The examples of some rows."""
        texts = tuple(self.texts[i] for i in chosen)
        return replace(self, encoded=self.encoded[chosen], score=self.score[chosen], texts=texts)


def train(
    tables: Sequence[OutcomeTable], *, seed: int = 0, progress: Progress | None = None
) -> SuccessPredictor:
    """The predictor of one or several tables.

    ``progress`` is called with the step and the share done. Raises ConfigError if a table is too
    small to learn from.
    """
    report = progress or (lambda _step, _share: None)
    examples = _joined_families([_examples(table, report) for table in tables])
    shared, extra = (None, None)
    if len(examples) > 1:
        report("learning what all tables share", 0.1)
        shared, extra = _shared_forest(examples, seed)
    experts = []
    for number, one in enumerate(examples):
        share = 0.2 + 0.8 * number / len(examples)
        report(f"learning {one.name}", share)
        full = one if extra is None else _with_column(one, extra[number])
        experts.append(_expert(full, seed))
    report("done", 1.0)
    prompts = [row_text(row) for table in tables for row in table.prompts]
    return SuccessPredictor(
        experts=tuple(experts), shared=shared, trained_on=np.unique(prompt_hashes(prompts))
    )


def _examples(table: OutcomeTable, report: Progress) -> Examples:
    answered = ~np.isnan(table.score).all(axis=1)
    if answered.sum() < SMALLEST_TABLE:
        raise ConfigError(
            f"table {table.name}: {many(int(answered.sum()), 'prompt')} with scores; give at least "
            f"{SMALLEST_TABLE}"
        )
    report(f"reading {table.name}", 0.0)
    kept = table.rows(np.flatnonzero(answered))
    prompts = [row_text(row) for row in kept.prompts]
    if all(prompt == prompts[0] for prompt in prompts):
        raise ConfigError(
            f"table {table.name}: all prompts are the same text; predictions need prompts that "
            "differ, in query, prompt or messages"
        )
    return Examples(
        name=table.name,
        models=table.models,
        encoded=encode_all(prompts),
        score=kept.score.astype(np.float32),
        texts=tuple("\n".join(prompt) for prompt in prompts),
    )


def _joined_families(examples: Sequence[Examples]) -> list[Examples]:
    """The tables; those that share a good part of their models are joined for one expert.

    A model that one of the tables lacks has missing outcomes on its rows.
    """
    families: list[Examples] = []
    for one in examples:
        related = [other for other in families if _share_models(other.models, one.models)]
        families = [other for other in families if not any(other is mate for mate in related)]
        families.append(reduce(_join, [*related, one]))
    return families


def _share_models(some: Sequence[str], others: Sequence[str]) -> bool:
    union = len(set(some) | set(others))
    return len(set(some) & set(others)) >= _SHARED_MODELS * union


def _join(first: Examples, second: Examples) -> Examples:
    models = tuple(dict.fromkeys([*first.models, *second.models]))
    parts = []
    for one in (first, second):
        score = np.full((len(one.score), len(models)), np.nan, np.float32)
        score[:, [models.index(model) for model in one.models]] = one.score
        parts.append(score)
    return Examples(
        name=f"{first.name}+{second.name}",
        models=models,
        encoded=np.vstack([first.encoded, second.encoded]),
        score=np.vstack(parts),
        texts=first.texts + second.texts,
    )


def _with_column(examples: Examples, column: Floats) -> Examples:
    return replace(examples, encoded=np.hstack([column[:, None], examples.encoded]))


def _shared_forest(examples: Sequence[Examples], seed: int) -> tuple[Forest, list[Floats]]:
    """The forest of easiness over all tables, and its out-of-fold column for each table.

    A question's easiness is how much better than their own means the models did on it; a row with
    many models is more reliable and counts more.
    """
    encoded = without_likeness(np.vstack([one.encoded for one in examples]))
    texts = tuple(text for one in examples for text in one.texts)
    parts = [departures(one.score) for one in examples]
    easiness = np.concatenate([part.mean(axis=1) for part in parts])[:, None]
    weight = np.concatenate(
        [np.full(len(p), np.sqrt(min(8, p.shape[1])) / np.sqrt(len(p))) for p in parts]
    )
    column = np.empty(len(texts), np.float32)
    for train_rows, test_rows in random_folds(texts, seed):
        fold = grow(
            encoded[train_rows], easiness[train_rows], seed, _TREES_OUT_OF_FOLD, weight[train_rows]
        )
        column[test_rows] = fold.predict(encoded[test_rows])[:, 0]
    ends = np.cumsum([len(one.texts) for one in examples])[:-1]
    return grow(encoded, easiness, seed, _TREES, weight), np.split(column, ends)


def _expert(examples: Examples, seed: int) -> Expert:
    final = _unweighted_expert(examples, seed, _TREES)
    known = _out_of_fold(examples, random_folds(examples.texts, seed), seed)
    groups = group_folds(final.smooth.neighbours.places, seed)
    strange = _out_of_fold(examples, groups, seed)
    blended = blend(known, strange, of_calls=final.smooth.neighbours.of_calls)
    return replace(final, blend=blended)


def _unweighted_expert(examples: Examples, seed: int, trees: int) -> Expert:
    """An expert whose members are fitted but not yet weighted."""
    count, score = len(examples.models), examples.score
    smooth = fit_smooth(examples.encoded, score, seed)
    of_calls = smooth.neighbours.of_calls
    smooth_departures = np.zeros((2, *score.shape), np.float32)
    if reads_levels(count, of_calls=of_calls):
        smooth_departures = out_of_fold_departures(examples.texts, examples.encoded, score, seed)
    grown = grow_pair if count == PAIR else grow
    inputs = forest_inputs(examples.encoded, smooth_departures, of_calls=of_calls)
    return Expert(
        name=examples.name,
        models=examples.models,
        prior=model_means(score),
        length=_mean_length(examples.encoded),
        smooth=smooth,
        forest=grown(inputs, departures(score), seed, trees),
        blend=plain_blend(count),
    )


def _mean_length(encoded: Floats) -> float:
    """The mean length of the questions without tools, 0 if all have tools."""
    plain = encoded[~asks_for_calls(encoded)]
    return float(length_of(plain).mean()) if len(plain) else 0.0


def _out_of_fold(examples: Examples, folds: Sequence[tuple[Ints, Ints]], seed: int) -> OutOfFold:
    members = np.zeros((2, 3, *examples.score.shape), np.float32)
    closeness = np.zeros(len(examples.score), np.float32)
    truth = np.full_like(examples.score, np.nan)
    for train_rows, test_rows in folds:
        fitted = _unweighted_expert(examples.rows(train_rows), seed, _TREES_OUT_OF_FOLD)
        found, near = fitted.member_departures(examples.encoded[test_rows])
        members[:, :, test_rows], closeness[test_rows] = found, near
        truth[test_rows] = examples.score[test_rows] - fitted.prior
    return OutOfFold(members=members, truth=truth, closeness=closeness)
