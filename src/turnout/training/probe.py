"""Which prompts to ask a new model, to learn the most about it from a few outcomes."""

import numpy as np
import numpy.typing as npt

from turnout.core.arrays import Floats

_DIRECTIONS = 8


def informative_rows(success: Floats, count: int) -> npt.NDArray[np.int64]:
    """Rows of ``success [n, models]`` that are most informative about a new model.

    Half are drawn evenly, so that the mean is estimated without bias; half are taken greedily where
    the predictions differ most from those already chosen (a D-optimal design by the largest
    leverage, Atkinson and Donev, Optimum Experimental Designs, 1992).
    """
    count = min(count, len(success))
    moves = success - success.mean(axis=0)
    main = np.linalg.svd(moves, full_matrices=False)[2][:_DIRECTIONS]
    inputs = np.hstack([moves @ main.T, np.full((len(moves), 1), moves.std() + 1e-6)])
    chosen = np.random.default_rng(0).permutation(len(success))[: (count + 1) // 2].tolist()
    inverse = np.linalg.inv(inputs[chosen].T @ inputs[chosen] + 1e-4 * np.eye(inputs.shape[1]))
    free = np.ones(len(success), dtype=bool)
    free[chosen] = False
    while len(chosen) < count:
        leverage = np.einsum("ij,jk,ik->i", inputs, inverse, inputs)
        best = int(np.where(free, leverage, -1.0).argmax())
        chosen.append(best)
        free[best] = False
        turned = inverse @ inputs[best]
        inverse -= np.outer(turned, turned) / (1 + inputs[best] @ turned)
    return np.array(chosen, dtype=np.int64)
