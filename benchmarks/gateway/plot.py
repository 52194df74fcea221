"""The plot of a run: CPU time per request and requests per second, one bar per gateway."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_OURS, _THEIRS = "#1f5fa8", "#9aa3ad"


def draw(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Writes the plot, if its case was run: 64 connections, Turnout also while routing."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    found = [
        (row["gateway"] if row["case"].startswith("pinned") else f"{row['gateway']}, routed", row)
        for row in rows
        if row["case"] in ("pinned c64", "routed c64") and "cpu_us" in row
    ]
    if not found:
        return
    found.sort(key=lambda pair: pair[1]["cpu_us"], reverse=True)
    names = [name for name, _ in found]
    colours = [_OURS if row["gateway"] in ("turnout", "ledger") else _THEIRS for _, row in found]
    figure, axes = plt.subplots(1, 2, figsize=(10, 0.45 * len(found) + 1.2), sharey=True)
    for axis, key, title in (
        (axes[0], "cpu_us", "CPU a request, microseconds (log)"),
        (axes[1], "rps", "requests a second on one core (log)"),
    ):
        bars = axis.barh(names, [row[key] for _, row in found], color=colours)
        axis.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8)
        axis.set_xscale("log")
        axis.margins(x=0.2)
        axis.set_title(title, fontsize=10)
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)
