"""Evaluation: the same decisions, answered from tables.

Its public names are resolved on first use, so that code that only reads rows loads no numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOME_OF = {
    "Figure": "report",
    "OutcomeTable": "outcome_table",
    "Predictions": "evaluating",
    "Report": "report",
    "Row": "report",
    "best_first": "evaluating",
    "evaluate": "evaluating",
    "picks": "evaluating",
    "plot": "plotting",
    "predictions": "evaluating",
    "read_table": "table_files",
    "replayed": "driver",
}

# Written out for type checkers, which run no code.
__all__ = [
    "Figure",
    "OutcomeTable",
    "Predictions",
    "Report",
    "Row",
    "best_first",
    "evaluate",
    "picks",
    "plot",
    "predictions",
    "read_table",
    "replayed",
]

if TYPE_CHECKING:
    from turnout.evaluation.driver import replayed
    from turnout.evaluation.evaluating import (
        Predictions,
        best_first,
        evaluate,
        picks,
        predictions,
    )
    from turnout.evaluation.outcome_table import OutcomeTable
    from turnout.evaluation.plotting import plot
    from turnout.evaluation.report import Figure, Report, Row
    from turnout.evaluation.table_files import read_table


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
