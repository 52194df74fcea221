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
    """The nodes of all trees in one list; ``values`` is ``[leaves, outputs]``.

    ``children`` holds the left and the right child of each node, one after the other.
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
        return np.asarray(self._leaf_values(encoded).mean(axis=1), dtype=np.float32)

    def spread(self, encoded: Floats) -> Floats:
        """``[n, outputs]``: the standard deviation over the trees."""
        return np.asarray(self._leaf_values(encoded).std(axis=1), dtype=np.float32)

    def _leaf_values(self, encoded: Floats) -> Floats:
        """``[n, trees, outputs]``: the values of the leaf that each tree reaches."""
        node = np.repeat(self.roots[None, :], len(encoded), axis=0)
        start = np.arange(len(encoded), dtype=np.intp)[:, None] * encoded.shape[1]
        flat = encoded.ravel()
        for _ in range(self.depth):
            value = flat.take(start + self.feature.take(node))
            node = self.children.take(2 * node + (value > self.threshold.take(node)))
        return self.values.take(self.leaf.take(node), axis=0)

    def arrays(self) -> dict[str, npt.NDArray[np.generic]]:
        """The arrays to store; leaf values are half floats, exact to 0.0005 for a probability."""
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
    def from_arrays(cls, arrays: dict[str, npt.NDArray[np.generic]]) -> "Forest":
        """The forest in stored ``arrays``."""
        ints = {
            name: arrays[name].astype(np.int32) for name in ("roots", "feature", "children", "leaf")
        }
        return cls(
            **ints,
            threshold=arrays["threshold"].astype(np.float32),
            values=arrays["values"].astype(np.float32),
            depth=int(arrays["depth"].item()),
        )
