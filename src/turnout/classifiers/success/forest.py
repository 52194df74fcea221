"""A forest of extremely randomised trees, as flat arrays that numpy can walk.

All trees step down together, so one prompt costs a few dozen small numpy calls for any number of
models. Source: Geurts, Ernst and Wehenkel, Extremely randomized trees, 2006.

Invariant: a leaf points to itself, so that ``depth`` steps reach a leaf in every tree.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from turnout.core.arrays import Floats

Ints = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forest:
    """Nodes of all trees in one list; ``values`` is ``[leaves, outputs]``.

    ``children`` holds a node's left and right child side by side.
    """

    roots: Ints
    feature: Ints
    threshold: Floats
    children: Ints
    leaf: Ints
    values: Floats
    depth: int

    def predict(self, encoded: Floats) -> Floats:
        """``[n, outputs]``: the mean over the trees, for rows ``[n, width]``."""
        leaves = self.values.take(self._leaves(encoded), axis=0)
        return np.asarray(leaves.mean(axis=1), dtype=np.float32)

    def spread(self, encoded: Floats) -> Floats:
        """``[n, outputs]``: how far the trees disagree, as a standard deviation."""
        leaves = self.values.take(self._leaves(encoded), axis=0)
        return np.asarray(leaves.std(axis=1), dtype=np.float32)

    def _leaves(self, encoded: Floats) -> Ints:
        node = np.repeat(self.roots[None, :], len(encoded), axis=0)
        start = np.arange(len(encoded), dtype=np.intp)[:, None] * encoded.shape[1]
        flat = encoded.ravel()
        for _ in range(self.depth):
            value = flat.take(start + self.feature.take(node))
            node = self.children.take(2 * node + (value > self.threshold.take(node)))
        return self.leaf.take(node)

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """What is stored; leaf values as half floats, precise to 0.0005 for a probability."""
        return {
            "roots": self.roots,
            "feature": self.feature.astype(np.int16),
            "threshold": self.threshold,
            "children": self.children,
            "leaf": self.leaf,
            "values": self.values.astype(np.float16),
            "depth": np.array(self.depth),
        }

    @classmethod
    def of(cls, arrays: dict[str, npt.NDArray[np.generic]]) -> "Forest":
        """The forest that was stored as ``arrays``."""
        ints = {
            name: arrays[name].astype(np.int32) for name in ("roots", "feature", "children", "leaf")
        }
        return cls(
            **ints,
            threshold=arrays["threshold"].astype(np.float32),
            values=arrays["values"].astype(np.float32),
            depth=int(arrays["depth"].item()),
        )
