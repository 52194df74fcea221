"""How good the answers are expected to be that ``turnout compare`` does not ask for."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from turnout.catalog import Deployment
from turnout.core import Decision
from turnout.evaluation.metrics import bootstrap


def predicted_quality(
    decisions: Sequence[Decision], chosen: Sequence[Deployment], baseline: Deployment
) -> dict[str, Any] | None:
    """Mean P(success) when routed and of ``baseline``, and their ratio with a 95 % interval.

    The interval is over prompts, and leaves out the predictor's own errors. None if the predictor
    lacks a model.
    """
    pairs = [
        (success.get(model.card.id), success.get(baseline.card.id))
        for success, model in zip((d.prediction.success for d in decisions), chosen, strict=True)
    ]
    if not pairs or any(value is None for pair in pairs for value in pair):
        return None
    routed, fixed = np.array(pairs, dtype=np.float64).T
    if not fixed.sum():
        return None
    low, high = bootstrap(lambda rows: routed[rows].sum() / fixed[rows].sum(), len(pairs))
    return {
        "routed": float(routed.mean()),
        "baseline": float(fixed.mean()),
        "share": float(routed.sum() / fixed.sum()),
        "low": low,
        "high": high,
    }
