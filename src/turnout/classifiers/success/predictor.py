"""P(success | prompt, model) for every model of a bundle, with its uncertainty.

Each outcome table has an expert. For a model of several tables all its experts answer, weighted by
how well each knows such prompts, and the other models of these tables are moved by the same amount.
An expert that does not know a prompt learns from the others how much abler models gain on it, and
whether it is harder than it looks. A model added later is a ``Newcomer``.

Invariant: pure after loading; an artefact of another schema is refused.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from turnout.classifiers.one_thread import on_one_thread
from turnout.classifiers.success.encoding import encode, encode_all, without_likeness
from turnout.classifiers.success.expert import EDGE, PAIR, Advice, Expert, Reading
from turnout.classifiers.success.forest import Forest
from turnout.classifiers.success.newcomer import Newcomer
from turnout.classifiers.success.scale import abilities, lowered_where_harder
from turnout.core import Ref
from turnout.core.arrays import Floats, product
from turnout.core.text_digest import text_digest
from turnout.features.prompt import PromptText

# Tuned on folds and left-out tasks of the shared tables: the least weight of a table among those
# that have a model, and the weight of "no gain is known" among the experts' gains.
_MIN_FAMILIARITY = 0.01
_NO_ADVICE_WEIGHT = 0.1
_BATCH = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class SuccessPredictor:
    """The experts of a bundle and the models added to it.

    ``removed``: models of the experts that no longer get a prediction; the others' stay the same.
    ``shared``: a forest trained on all tables, if there are several, so that the outcomes of one
    table show to the others which prompts are hard. ``trained_on``: sorted marks of the training
    prompts.
    """

    experts: tuple[Expert, ...]
    shared: Forest | None = None
    newcomers: tuple[Newcomer, ...] = ()
    removed: frozenset[str] = frozenset()
    trained_on: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    digest: str = ""
    _abilities: tuple[Floats, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Puts the tables on one scale; not needed for a single table."""
        models, priors = [e.models for e in self.experts], [e.prior for e in self.experts]
        object.__setattr__(self, "_abilities", abilities(models, priors) if len(models) > 1 else ())

    @property
    def ref(self) -> Ref:
        """``success`` and the bundle's digest."""
        return Ref(name="success", digest=self.digest)

    @property
    def trained(self) -> tuple[str, ...]:
        """The models of the tables, in their order, without removed ones."""
        return tuple(model for model in self._expert_models if model not in self.removed)

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that has a prediction, once: the trained ones, then those added later."""
        return (*self.trained, *(n.model for n in self.newcomers))

    def without_model(self, model: str) -> "SuccessPredictor":
        """The predictor without ``model``."""
        added = tuple(n for n in self.newcomers if n.model != model)
        if len(added) < len(self.newcomers):
            return replace(self, newcomers=added)
        return replace(self, removed=self.removed | {model})

    def predict(self, prompt: PromptText) -> Mapping[str, float]:
        """P(success) of each model for one prompt."""
        return self.predict_with_strangeness(prompt)[0]

    def predict_with_strangeness(self, prompt: PromptText) -> tuple[Mapping[str, float], float]:
        """P(success) of each model for one prompt, and the prompt's strangeness, 0..1.

        That is its strangeness to the table that knows such prompts best.
        """
        success, strange = self._predict_encoded(
            encode(prompt, compare_options=self._has_pair_expert)[None, :]
        )
        return dict(zip(self.models, success[0].tolist(), strict=True)), float(strange[0])

    def predict_all(self, prompts: Sequence[PromptText]) -> Floats:
        """``[n, models]`` for many prompts."""
        return self.predict_all_with_strangeness(prompts)[0]

    def predict_all_with_strangeness(self, prompts: Sequence[PromptText]) -> tuple[Floats, Floats]:
        """``[n, models]`` for many prompts, and the strangeness of each ``[n]``."""
        encoded = encode_all(prompts)
        starts = range(0, len(encoded), _BATCH)
        parts = [self._predict_encoded(encoded[start : start + _BATCH]) for start in starts]
        if not parts:
            return np.empty((0, len(self.models)), np.float32), np.empty(0, np.float32)
        success, strange = zip(*parts, strict=True)
        return np.vstack(success), np.concatenate(strange)

    def uncertainty(self, prompt: PromptText) -> Mapping[str, float]:
        """Standard error of each model's P(success) for one prompt."""
        full = with_shared_column(encode(prompt)[None, :], self.shared)
        found: dict[str, float] = {}
        for expert in self.experts:
            errors = expert.uncertainty(full)[0].tolist()
            for model, error in zip(expert.models, errors, strict=True):
                found[model] = min(error, found.get(model, error))
        return {m: found[m] if m in self.trained else 0.5 for m in self.models}

    def trained_share(self, prompts: Sequence[PromptText]) -> float:
        """The share of ``prompts`` that were in the training data."""
        return float(np.isin(prompt_hashes(prompts), self.trained_on).mean()) if prompts else 0.0

    @property
    def _expert_models(self) -> tuple[str, ...]:
        """Every model of an expert, with removed ones."""
        return tuple(dict.fromkeys(m for expert in self.experts for m in expert.models))

    @property
    def _has_pair_expert(self) -> bool:
        """Whether an expert has just two models, and so reads the likeness of the options."""
        return any(len(expert.models) == PAIR for expert in self.experts)

    @on_one_thread
    def _predict_encoded(self, encoded: Floats) -> tuple[Floats, Floats]:
        """P(success) ``[n, models]`` and strangeness ``[n]``."""
        full = with_shared_column(encoded, self.shared)
        readings = [expert.read(full) for expert in self.experts]
        known = self._expert_success(readings)
        strange = np.min([r.strange for r in readings], axis=0)
        if not self.newcomers and not self.removed:
            return known, strange
        order = {model: place for place, model in enumerate(self._expert_models)}
        added = [n.predict(known, order)[:, None] for n in self.newcomers]
        return np.hstack([known[:, [order[m] for m in self.trained]], *added]), strange

    def _expert_success(self, readings: Sequence[Reading]) -> Floats:
        """``[n, known models]``: each model's tables, weighted by how well they know the prompt."""
        if len(self.experts) == 1:
            return self.experts[0].predict(readings[0])
        paired = list(zip(self.experts, readings, strict=True))
        advice = advise(readings, [expert.ability_gain(reading) for expert, reading in paired])
        successes = lowered_where_harder(
            [e.predict(r, a) for (e, r), a in zip(paired, advice, strict=True)],
            [expert.prior for expert in self.experts],
            self._abilities,
            [reading.familiarity for reading in readings],
        )
        place = {name: number for number, name in enumerate(self._expert_models)}
        columns = [np.array([place[model] for model in expert.models]) for expert in self.experts]
        shares = [reading.familiarity[:, None] ** 2 + _MIN_FAMILIARITY for reading in readings]
        return merged_success(successes, columns, shares)


def advise(readings: Sequence[Reading], gains: Sequence[Floats]) -> list[Advice]:
    """The advice of all others for each expert; a gain of 0 if none of them knows the prompt."""
    familiarity, gain = np.stack([reading.familiarity for reading in readings]), np.stack(gains)
    weight = familiarity**2
    others = np.ones((len(gain), len(gain)), np.float32) - np.eye(len(gain), dtype=np.float32)
    advised = product(others, weight * gain) / (product(others, weight) + _NO_ADVICE_WEIGHT)
    best = [np.delete(familiarity, number, axis=0).max(axis=0) for number in range(len(gain))]
    return [Advice(gain=g, familiarity=k) for g, k in zip(advised, best, strict=True)]


def merged_success(
    successes: Sequence[Floats], columns: Sequence[npt.NDArray[np.intp]], shares: Sequence[Floats]
) -> Floats:
    """``[n, models]`` from each table's ``[n, its models]``, which go to its ``columns``.

    A model of several tables gets their mean, weighted by ``shares``. The other models of a table
    are moved by the mean change of these: the table says which of its models are better, and the
    tables that know the prompt say how well models do on it.
    """
    count = 1 + max(int(own.max()) for own in columns)
    total = np.zeros((len(successes[0]), count), np.float32)
    weight, tables = np.zeros_like(total), np.zeros(count, np.int64)
    for success, own, share in zip(successes, columns, shares, strict=True):
        total[:, own] += share * success
        weight[:, own] += share
        tables[own] += 1
    found = total / weight
    for success, own in zip(successes, columns, strict=True):
        common = tables[own] > 1
        if common.any():
            moved = (found[:, own[common]] - success[:, common]).mean(axis=1, keepdims=True)
            found[:, own[~common]] += moved
    return np.asarray(np.clip(found, EDGE, 1 - EDGE), dtype=np.float32)


def with_shared_column(encoded: Floats, shared: Forest | None) -> Floats:
    """The encoded prompts, with the output of the forest of all tables before them."""
    if shared is None:
        return encoded
    return np.hstack([shared.predict(without_likeness(encoded)), encoded])


def prompt_hashes(prompts: Sequence[PromptText]) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of each prompt, to recognise it without storing it."""
    digests = (text_digest("\n".join(prompt), 8) for prompt in prompts)
    return np.array([int.from_bytes(d, "big") for d in digests], dtype=np.uint64)
