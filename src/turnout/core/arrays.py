"""Types of numeric arrays that classifiers, predictors and outcome tables share."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
# Row numbers in a table: the rows of a text, or where the rows of each of several texts begin.
Rows = Ints
