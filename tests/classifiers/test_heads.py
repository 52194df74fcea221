"""Tables of weights, for one text and for many."""

import numpy as np

from turnout.classifiers.heads import Table


def test_half_precision_loses_nothing_however_many_rows_are_read() -> None:
    """Many numbers are widened all at once, few one by one: to the same ones, tiny ones too."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    halves = halves[np.isfinite(halves)].reshape(-1, 16)
    count, outputs = halves.shape
    rarity = np.ones(count, np.float32)
    table, wide = (
        Table(rarity=rarity, weights=weights, bias=np.zeros(outputs, np.float32))
        for weights in (halves, halves.astype(np.float32))
    )
    rows = np.arange(count)
    np.testing.assert_array_equal(table.outputs_of_all(rows, rows), halves.astype(np.float32))
    starts = np.arange(0, count, 50)
    np.testing.assert_array_equal(
        table.outputs_of_all(rows, starts), wide.outputs_of_all(rows, starts)
    )
