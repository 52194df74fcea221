"""The cost-quality plot of a report: policies, single models, and the curves between them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from turnout.core import ConfigError
from turnout.core.arrays import Doubles
from turnout.core.extras import requiring_extra
from turnout.core.plural import many
from turnout.core.replacing import replacing
from turnout.evaluation.report import Curve, Report

# Offsets of a label, in points from its mark: right, left, above, below, and the corners.
_PLACES = ((6, -3), (-6, -3), (0, 7), (0, -13), (6, 6), (-6, 6), (6, -12), (-6, -12))
# First without crossing a curve; if there is no room, across one.
_TRIES = [(place, over) for over in (False, True) for place in _PLACES]
_LABELLED_MODELS = 14


def plot(report: Report, path: str | Path) -> None:
    """Draws the report as PNG or SVG, by the file's name.

    Raises ConfigError if matplotlib is missing or the file cannot be written.
    """
    with requiring_extra("plot", "plots need matplotlib"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure: Any = Figure(figsize=(10, 6.2), dpi=130, layout="constrained")
    canvas: Any = FigureCanvasAgg(figure)
    axes = figure.subplots()
    if all(np.isnan(row.usd_per_1000.value) for row in report.rows):
        _draw_qualities(axes, report)
    else:
        _draw_costs_and_qualities(axes, report, canvas)
    axes.set_title(f"{report.table}: {many(report.prompts, 'prompt')}, {report.models} models")
    save_figure(figure, Path(path))


def save_figure(figure: Any, path: Path) -> None:
    """Draws the figure into a file, in the format that its name tells. Raises ConfigError."""
    try:
        with replacing(path) as new:
            figure.savefig(new)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror})") from error
    except ValueError as error:
        raise ConfigError(f"{path}: cannot be written ({error}); use .png or .svg") from error


def _draw_qualities(axes: Any, report: Report) -> None:
    """Draws the qualities alone, if no cost is known."""
    for place, row in enumerate(reversed(report.rows)):
        quality = row.quality
        axes.plot([quality.low, quality.high], [place, place], color="tab:red", alpha=0.6)
        axes.plot(quality.value, place, "D", color="tab:red", markersize=5)
    axes.set_yticks(range(len(report.rows)), [row.name for row in reversed(report.rows)])
    axes.set_xlabel("mean quality (no costs are known)")
    axes.grid(visible=True, axis="x", color="0.93")


def _draw_costs_and_qualities(axes: Any, report: Report, canvas: Any) -> None:
    draw_curves(axes, report.curve)
    labels = [*_mark_policies(axes, report), *_mark_models(axes, report)]
    axes.set(xlabel="USD a thousand requests", ylabel="mean quality")
    _set_cost_scale(axes)
    axes.margins(x=0.08, y=0.08)
    axes.grid(visible=True, which="major", color="0.93")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, loc="lower right", framealpha=0.9)
    canvas.draw()
    _place_labels(axes, labels, canvas.get_renderer())


def draw_curves(axes: Any, curve: Curve) -> None:
    """Draws the curves between cost and quality."""
    for points, style, colour, name in (
        (curve.task_oracle, ":", "tab:green", "task oracle"),
        (curve.mixed, "--", "0.55", "mixing single models (zero router)"),
        (curve.routed, "-", "tab:blue", "routed by predicted success"),
    ):
        if points:
            costs, qualities = _mix_points(np.array(points))
            axes.plot(1000 * costs, qualities, style, color=colour, label=name)


def _mix_points(corners: Doubles) -> tuple[Doubles, Doubles]:
    """Points between the corners ``[n, 2]``: mixes of neighbouring ones, in cost and quality.

    On a logarithmic scale this is not a straight line.
    """
    steps = np.linspace(0.0, 1.0, 60) ** 3  # close together at the left, where decades are wide
    costs = corners[:, 0]
    between = np.unique(
        np.concatenate([costs, *(costs[:-1, None] + np.diff(costs)[:, None] * steps)])
    )
    return between, np.interp(between, costs, corners[:, 1])


def _set_cost_scale(axes: Any) -> None:
    """Sets a logarithmic scale of dollars, with a place at the left for zero cost."""
    costs = np.concatenate([line.get_xdata() for line in axes.lines if _is_mark(line)])
    paid = costs[costs > 0]
    if len(paid) == len(costs):
        axes.set_xscale("log")
    elif len(paid):
        axes.set_xscale("symlog", linthresh=float(paid.min()))


_Label = tuple[str, float, float, dict[str, Any]]


def _mark_policies(axes: Any, report: Report) -> list[_Label]:
    """Draws a mark for every policy; those at one point share a label."""
    at: dict[tuple[float, float], list[str]] = {}
    for row in report.rows:
        cost, quality = row.usd_per_1000, row.quality
        if np.isnan(cost.value):
            continue
        at.setdefault((round(cost.value, 6), round(quality.value, 6)), []).append(row.name)
        if not np.isnan(cost.low) and not np.isnan(quality.low):
            axes.errorbar(
                cost.value,
                quality.value,
                xerr=[[max(0.0, cost.value - cost.low)], [max(0.0, cost.high - cost.value)]],
                yerr=[
                    [max(0.0, quality.value - quality.low)],
                    [max(0.0, quality.high - quality.value)],
                ],
                color="tab:red",
                elinewidth=0.7,
                alpha=0.6,
            )
    look = {"fontsize": 8, "color": "tab:red", "weight": "bold"}
    for cost_at, quality_at in at:
        axes.plot(cost_at, quality_at, "D", color="tab:red", markersize=4.5, zorder=4)
    return [(", ".join(names), x, y, look) for (x, y), names in at.items()]


def _mark_models(axes: Any, report: Report) -> list[_Label]:
    """Draws a mark for every single model; the best and those on the hull are named."""
    singles = report.curve.singles
    on_hull = {(round(c, 12), round(q, 12)) for c, q in report.curve.mixed}
    for _, cost, quality in singles:
        axes.plot(1000 * cost, quality, "o", color="0.55", markersize=4, zorder=3)
    by_worth = sorted(
        singles, key=lambda s: ((round(s[1], 12), round(s[2], 12)) not in on_hull, -s[2])
    )
    look = {"fontsize": 7, "color": "0.35"}
    return [(m, 1000 * c, q, look) for m, c, q in by_worth[:_LABELLED_MODELS]]


def _place_labels(axes: Any, labels: Sequence[_Label], renderer: Any) -> None:
    """Writes each label where it covers no mark, label or edge; one without room is left out."""
    marks = axes.transData.transform(
        [[line.get_xdata()[0], line.get_ydata()[0]] for line in axes.lines if _is_mark(line)]
    )
    drawn = [line.get_xydata() for line in axes.lines if not _is_mark(line)]
    curves = axes.transData.transform(np.concatenate(drawn)) if drawn else ()
    frame = axes.get_window_extent(renderer)
    legend = axes.get_legend()
    taken = [legend.get_window_extent(renderer)] if legend is not None else []
    for text, x, y, look in labels:
        for (dx, dy), over_curves in _TRIES:
            side = "left" if dx > 0 else "right" if dx < 0 else "center"
            note = axes.annotate(
                text, (x, y), (dx, dy), textcoords="offset points", ha=side, **look
            )
            box = note.get_window_extent(renderer)
            free = not any(box.overlaps(other) for other in taken)
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0
            clear = not any(box.contains(*mark) for mark in marks)
            clear = clear and (over_curves or not any(box.contains(*p) for p in curves))
            if free and inside and clear and box.y1 <= frame.y1:
                taken.append(box)
                break
            note.remove()


def _is_mark(line: Any) -> bool:
    return len(line.get_xdata()) == 1
