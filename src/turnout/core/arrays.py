"""The arrays of numbers that learned parts and tables of outcomes pass on."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
# The rows of a table that a text becomes, or where those of several texts begin.
Rows = Ints
