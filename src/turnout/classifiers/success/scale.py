"""Puts tables of outcomes on one scale: how easy a prompt is, whatever models a table has.

The logit of a model's mean in a table is the sum of the model's ability and the table's ease. They
are fitted together over all tables; models of several tables show how hard one table is against
another. The ease of a prompt in a table is then the difference between the table's answers and the
abilities. A table that does not know a prompt is lowered if those that know it find it harder.

Source: the additive logits of Rasch, Probabilistic Models for Some Intelligence and Attainment
Tests, 1960, here of tables and of prompts.
"""

from collections.abc import Sequence

import numpy as np

from turnout.classifiers.heads import logistic
from turnout.classifiers.success.expert import EDGE
from turnout.core.arrays import Floats

# Spreads in logits: of abilities, of tables, and of a model in a table.
_ABILITIES, _TABLES, _RESIDUALS = 1.2, 3.0, 0.6
# Chosen on whole tables left out: the weight of "no other table knows the prompt", how many logits
# between two tables are still unclear, and how many are so far apart that the differences between
# models at the old level do not hold at the new one.
_NO_ADVICE_WEIGHT = 0.1
_UNCLEAR_LOGITS = 0.5
_FAR_LOGITS = 2.0


def abilities(models: Sequence[Sequence[str]], priors: Sequence[Floats]) -> tuple[Floats, ...]:
    """``[m]`` for each table: its models' abilities in logits, from the tables' mean scores."""
    names = list(dict.fromkeys(name for own in models for name in own))
    place = {name: number for number, name in enumerate(names)}
    columns = [np.array([place[name] for name in own]) for own in models]
    count, tables = len(names), np.repeat(np.arange(len(models)), [len(own) for own in models])
    design = np.zeros((len(tables), count + len(models)))
    cells = np.arange(len(tables))
    design[cells, np.concatenate(columns)] = design[cells, count + tables] = 1.0
    spread = np.repeat([_ABILITIES, _TABLES], [count, len(models)])
    gram = design.T @ design + np.diag((_RESIDUALS / spread) ** 2)
    found = np.linalg.solve(gram, design.T @ _logit(np.concatenate(priors)))
    return tuple(found[own].astype(np.float32) for own in columns)


def lowered_where_harder(
    answers: Sequence[Floats],
    priors: Sequence[Floats],
    table_abilities: Sequence[Floats],
    familiarity: Sequence[Floats],
) -> list[Floats]:
    """Each table's ``[n, m]``, lowered on prompts that are harder for the tables that know them.

    The stranger the prompt is to the table, the more it is lowered. It is never raised: to think a
    prompt easier than it is costs quality, to think it harder costs only money.
    """
    ease = np.stack(
        [(_logit(a) - own).mean(axis=1) for a, own in zip(answers, table_abilities, strict=True)]
    )
    weight = np.stack(familiarity) ** 2
    found = []
    for number, (answer, prior) in enumerate(zip(answers, priors, strict=True)):
        others = weight.copy()
        others[number] = 0.0
        easier = (others * (ease - ease[number])).sum(axis=0) / (
            others.sum(axis=0) + _NO_ADVICE_WEIGHT
        )
        clear = easier**2 / (easier**2 + _UNCLEAR_LOGITS**2)
        shift = np.minimum(0.0, easier * clear * (1 - familiarity[number]))
        found.append(_level_shifted(answer, prior, shift))
    return found


def _level_shifted(answer: Floats, prior: Floats, shift: Floats) -> Floats:
    """The answers with their level moved by ``shift [n]`` logits; the order of the models stays.

    Differences between models stay the same in probability, since they say how much better an
    abler model is on this prompt. At a level far away they become those of the means there.
    """
    step = shift[:, None]
    level = logistic(_logit(answer) + step).mean(axis=1)
    prior_there = logistic(_logit(prior) + step)
    far = step**4 / (step**4 + _FAR_LOGITS**4)
    differences = _centred(answer) + far * (_centred(prior_there) - _centred(prior[None, :]))
    return _level_plus_differences(level, differences)


def _level_plus_differences(level: Floats, differences: Floats) -> Floats:
    """``level [n]`` plus the differences ``[n, m]``, reduced if the sum would pass 0 or 1."""
    above = np.maximum(differences.max(axis=1), 1e-6)
    below = np.maximum(-differences.min(axis=1), 1e-6)
    room = np.minimum((1 - EDGE - level) / above, (level - EDGE) / below)
    share = np.clip(room, 0.0, 1.0)
    return np.asarray(level[:, None] + share[:, None] * differences, dtype=np.float32)


def _centred(success: Floats) -> Floats:
    return np.asarray(success - success.mean(axis=1, keepdims=True))


def _logit(success: Floats) -> Floats:
    held = np.clip(success, EDGE, 1 - EDGE)
    return np.asarray(np.log(held / (1 - held)))
