"""Tables of outcomes on one scale: how easy each finds a prompt, whichever models it has.

The logit of a model's mean in a table is its ability and the table's ease, fitted together over
all tables, so that the models that several have tell how hard one table is beside another. What a
table says of a prompt is then as much easier or harder than abilities alone would have it, and a
table that does not know the prompt is told by those that do where it is harder than it looks.

Source: the additive logits of Rasch, Probabilistic Models for Some Intelligence and Attainment
Tests, 1960, here of tables and of prompts.
"""

from collections.abc import Sequence

import numpy as np

from turnout.classifiers.heads import logistic
from turnout.classifiers.success.expert import EDGE
from turnout.core.arrays import Floats

# Spreads in logits: of abilities, of tables, and of what is a model's own in a table.
_ABILITIES, _TABLES, _OWN = 1.2, 3.0, 0.6
# Chosen on whole tables left out: what "no other table knows the prompt" counts, how many logits
# between two tables are what is their own, and how many are so far that differences of models
# at the old level say nothing of the new.
_UNTOLD = 0.1
_UNCLEAR = 0.5
_FAR = 2.0


def abilities(models: Sequence[Sequence[str]], priors: Sequence[Floats]) -> tuple[Floats, ...]:
    """``[m]`` for each table: its models' logits of ability, from each table's mean scores."""
    names = list(dict.fromkeys(name for own in models for name in own))
    place = {name: number for number, name in enumerate(names)}
    columns = [np.array([place[name] for name in own]) for own in models]
    count, tables = len(names), np.repeat(np.arange(len(models)), [len(own) for own in models])
    design = np.zeros((len(tables), count + len(models)))
    cells = np.arange(len(tables))
    design[cells, np.concatenate(columns)] = design[cells, count + tables] = 1.0
    spread = np.repeat([_ABILITIES, _TABLES], [count, len(models)])
    gram = design.T @ design + np.diag((_OWN / spread) ** 2)
    found = np.linalg.solve(gram, design.T @ _logit(np.concatenate(priors)))
    return tuple(found[own].astype(np.float32) for own in columns)


def lowered(
    answers: Sequence[Floats],
    priors: Sequence[Floats],
    able: Sequence[Floats],
    knowing: Sequence[Floats],
) -> list[Floats]:
    """Each table's ``[n, m]``, lower where those that know the prompt find it harder.

    The stranger the prompt is to the table, the more. It is never raised: what seems easier than it
    is costs quality, the other way round only money.
    """
    ease = np.stack([(_logit(a) - own).mean(axis=1) for a, own in zip(answers, able, strict=True)])
    weight = np.stack(knowing) ** 2
    found = []
    for number, (answer, prior) in enumerate(zip(answers, priors, strict=True)):
        heard = weight.copy()
        heard[number] = 0.0
        told = (heard * (ease - ease[number])).sum(axis=0) / (heard.sum(axis=0) + _UNTOLD)
        clear = told**2 / (told**2 + _UNCLEAR**2)
        found.append(_moved(answer, prior, np.minimum(0.0, told * clear * (1 - knowing[number]))))
    return found


def _moved(answer: Floats, prior: Floats, move: Floats) -> Floats:
    """The answers at a level that lies ``move [n]`` logits lower, models in the same order.

    Differences stay what they are, in probability, for they say how much more an abler model is
    worth on this prompt; but at a level far away the means differ as they would there.
    """
    step = move[:, None]
    level = logistic(_logit(answer) + step).mean(axis=1)
    there = logistic(_logit(prior) + step)
    far = step**4 / (step**4 + _FAR**4)
    apart = _centred(answer) + far * (_centred(there) - _centred(prior[None, :]))
    return _within(level, apart)


def _within(level: Floats, apart: Floats) -> Floats:
    """``level [n]`` and differences ``[n, m]``, these smaller where they would pass 0 or 1."""
    above = np.maximum(apart.max(axis=1), 1e-6)
    below = np.maximum(-apart.min(axis=1), 1e-6)
    room = np.minimum((1 - EDGE - level) / above, (level - EDGE) / below)
    share = np.clip(room, 0.0, 1.0)
    return np.asarray(level[:, None] + share[:, None] * apart, dtype=np.float32)


def _centred(success: Floats) -> Floats:
    return np.asarray(success - success.mean(axis=1, keepdims=True))


def _logit(success: Floats) -> Floats:
    held = np.clip(success, EDGE, 1 - EDGE)
    return np.asarray(np.log(held / (1 - held)))
