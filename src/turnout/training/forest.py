"""Grows a forest with scikit-learn and turns it into flat arrays.

Source: Geurts, Ernst and Wehenkel, Extremely randomized trees, 2006. Compared with ridge on
n-grams, gradient boosting, neighbours and clusters it ranked best on MMLU and carried over best to
unseen tasks; see docs/routing.md.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from turnout.classifiers.success.forest import Forest
from turnout.core.extras import requiring_extra

Floats = npt.NDArray[Any]

_LEAF = 12
_FEATURES = 0.4
_DEPTH = 16
# How much more a pair's trees weigh which model does better than how well both do, and how many
# more trees there are: they are small, and their mean is steadier.
_OF_CONTRAST = 2.0
_PAIR_TREES = 6


def grow(
    encoded: Floats, target: Floats, seed: int, trees: int, weight: Floats | None = None
) -> Forest:
    """A forest that predicts ``target [n, outputs]`` from ``encoded [n, width]``.

    Raises ConfigError without scikit-learn.
    """
    with requiring_extra("train", "training needs scikit-learn"):
        from sklearn.ensemble import ExtraTreesRegressor
    model = ExtraTreesRegressor(
        n_estimators=trees,
        max_depth=_DEPTH,
        min_samples_leaf=max(2, min(_LEAF, len(encoded) // 30)),
        max_features=_FEATURES,
        random_state=seed,
        n_jobs=1,
    ).fit(encoded, target if target.shape[1] > 1 else target[:, 0], sample_weight=weight)
    return _flatten([tree.tree_ for tree in model.estimators_], target.shape[1])


def grow_pair(encoded: Floats, target: Floats, seed: int, trees: int) -> Forest:
    """The same for two models, for which the order of prompts by their one contrast counts."""
    level = target.mean(axis=1, keepdims=True)
    stretched = level + _OF_CONTRAST * (target - level)
    forest = grow(encoded, stretched, seed, _PAIR_TREES * trees)
    middle = forest.values.mean(axis=1, keepdims=True)
    return replace(forest, values=middle + (forest.values - middle) / np.float32(_OF_CONTRAST))


def _flatten(trees: list[Any], outputs: int) -> Forest:
    starts = np.cumsum([0, *(tree.node_count for tree in trees)])[:-1]
    own = [np.arange(tree.node_count) for tree in trees]
    inner = [tree.children_left >= 0 for tree in trees]

    def children(side: str) -> npt.NDArray[np.int32]:
        parts = [
            np.where(i, getattr(tree, side), o) + start
            for tree, i, o, start in zip(trees, inner, own, starts, strict=True)
        ]
        return np.concatenate(parts).astype(np.int32)

    is_leaf = ~np.concatenate(inner)
    values = np.concatenate([tree.value.reshape(-1, outputs) for tree in trees])
    leaf = np.cumsum(is_leaf) - 1
    return Forest(
        roots=starts.astype(np.int32),
        feature=np.concatenate([np.maximum(tree.feature, 0) for tree in trees]).astype(np.int32),
        threshold=np.concatenate([tree.threshold for tree in trees]).astype(np.float32),
        children=np.stack([children("children_left"), children("children_right")], 1).ravel(),
        leaf=np.maximum(leaf, 0).astype(np.int32),
        values=values[is_leaf].astype(np.float32),
        depth=max(tree.max_depth for tree in trees),
    )
