"""Types of numeric arrays that classifiers, predictors and outcome tables share."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
# Row numbers in a table: the rows of a text, or where the rows of each of several texts begin.
Rows = Ints


def product(some: Floats | Doubles, others: Floats | Doubles) -> Floats:
    """``some @ others``, summed in double precision.

    A row's sums depend in their last digit on how many rows are multiplied together; in double
    precision this digit is lost when the sums are stored.
    """
    return np.asarray(np.matmul(some, others, dtype=np.float64), dtype=np.float32)
