"""The figures of ``benchmarks.routing`` as Markdown: the table of goals, then the details."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import numpy as np

from benchmarks.machine import describe

Figures = dict[str, Any]
Line = tuple[str, str, str, str]

_MMLU, _GSM8K = "routellm_mmlu", "routellm_gsm8k"
_SIGNED = "{:+.4f}"
# An older result, kept when only one part is rerun, may lack a floor.
_UNKNOWN = {"value": float("nan")}


def document(known: Figures) -> str:
    """What was measured, as Markdown, with its date and hash."""
    figures = {name: stage["figures"] for name, stage in known.items()}
    digest = sha256(json.dumps(figures, sort_keys=True, default=float).encode()).hexdigest()
    machine = ", ".join(f"{k} {v}" for k, v in describe("numpy", "scikit-learn").items())
    lines = [
        "# Routing benchmark",
        "",
        f"Measured {datetime.now(UTC):%Y-%m-%d}, sha256:{digest[:16]}, by `make bench-routing`.",
        f"Machine: {machine}. Intervals are 95 %, by bootstrap over rows.",
        "The terms, and what limits the goals that are missed, are explained in",
        "[experiments/success.md](../experiments/success.md#terms).",
        "",
        *_table(("what", "measured", "floor in the same run", "goal"), _goals(figures)),
        "",
        "## Behind the table",
        "",
        *_table(("what", "measured", "beside it", ""), _details(figures)),
    ]
    return "\n".join(lines) + "\n"


def _table(head: Line, rows: Iterator[Line]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]


def _goals(figures: Figures) -> Iterator[Line]:
    yield from _apgr_goals(figures)
    yield from _left_out_goals(_left_out(figures))
    yield from _cost_goals(figures.get("cost", {}), _left_out(figures))
    if new := figures.get("newcomers"):
        text = f"mean {new['mean']:.4f}, worst {max(new['losses'].values()):.4f} AIQ lost"
        yield "a new model from 200 probes, against all its rows", text, "", "≤ 0.01"
    for name, one in figures.get("paraphrases", {}).items():
        text = f"{one['unchanged']:.1%} of {one['pairs']}"
        if "steady" in one:
            text += f", {one['steady']:.1%} with `steady`"
        yield f"choice unchanged by paraphrase, {name}", text, "", "≥ 90 %"
    for name, one in figures.get("latency", {}).items():
        yield f"{name}, 30 models", f"p50 {one['p50']:.2f}, p95 {one['p95']:.2f}", "", "1 / 5"
    for name, one in figures.get("cost", {}).items():
        yield f"ECE, {name}", f"{one['calibration error']:.3f}", "", "≤ 0.03"
    for name, one in _left_out(figures).items():
        yield f"ECE, unseen tasks of {name}", f"{one['calibration error']:.3f}", "", "≤ 0.08"


def _apgr_goals(figures: Figures) -> Iterator[Line]:
    for name, one in figures.get("unlabelled", {}).items():
        floor = f"prompt length {_with_interval(one['prompt length'])}"
        yield f"APGR {name}, no label of it used", _with_interval(one["turnout"]), floor, "≥ 0.62"
    if few := figures.get("few labels"):
        floor = f"TF-IDF ridge {_with_interval(few['TF-IDF ridge'])}"
        yield f"APGR {_MMLU}, 1,500 labels", _with_interval(few["turnout"]), floor, "≥ 0.66"
    for name, one in figures.get("labelled", {}).items():
        floor = f"TF-IDF ridge {_with_interval(one['TF-IDF ridge'])}"
        reach = {_MMLU: "≥ 0.71", _GSM8K: "≥ 0.64"}.get(name, "")
        yield f"APGR {name}, all labels", _with_interval(one["turnout"]), floor, reach


def _left_out(figures: Figures) -> Figures:
    start = "left out: "
    return {k.removeprefix(start): v for k, v in figures.items() if k.startswith(start)}


def _left_out_goals(tables: Figures) -> Iterator[Line]:
    pairs = [pair for table in tables.values() for pair in table["pairs"].values()]
    if not pairs:
        return
    pooled, ridge, length = (
        [pair.get(key, _UNKNOWN)["value"] for pair in pairs]
        for key in ("pooled", "TF-IDF ridge", "prompt length")
    )
    tasks = [(value, task) for pair in pairs for task, value in pair["tasks"].items()]
    floor = f"TF-IDF ridge {np.mean(ridge):.3f}, prompt length {np.mean(length):.3f}"
    worst = min(tasks)
    yield (
        f"mean APGR over left-out tasks, pooled, {len(pairs)} pairs",
        f"{np.mean(pooled):.3f} ({min(pooled):.3f} to {max(pooled):.3f} by pair)",
        floor,
        "≥ 0.60",
    )
    yield (
        "the same within single tasks",
        f"mean {np.mean([value for value, _ in tasks]):.3f}, worst {worst[0]:.2f} ({worst[1]})",
        "",
        "worst ≥ 0.50",
    )


def _cost_goals(tables: Figures, left_out: Figures) -> Iterator[Line]:
    reach = {"routerbench_zs": "0.026", "zeroeval pooled": "0.018", "bfcl_v1, API models": "0.03"}
    for name, one in tables.items():
        floor = f"kNN-40 on TF-IDF {one.get('kNN gain', np.nan):+.4f}"
        if "task oracle" in one:
            floor += f", task oracle {one['task oracle']:+.4f}"
        what = f"AIQ above zero router, {name} ({one['models']} models)"
        wanted = f"≥ +{reach[name]}" if name in reach else ""
        yield what, _with_interval(one["gain"], _SIGNED), floor, wanted
    yield from _unseen_gains(left_out)
    wanted_saving = {"routerbench_zs": "≥ 72 %", "zeroeval pooled": "≥ 55 %"}
    for name, one in tables.items():
        floor = f"kNN-40 {one.get('kNN saving', np.nan):.1%}, mixing {one['saving by mixing']:.1%}"
        text = f"{one['saving at 95 %']:.1%} ({one['saving vs dearest']:.1%} of the dearest)"
        yield f"saving at 95 % of the best single, {name}", text, floor, wanted_saving.get(name, "")


def _unseen_gains(left_out: Figures) -> Iterator[Line]:
    """Beside what the models' means on the other tasks are worth: no more is known beforehand."""
    for key, what in (
        ("AIQ gains", "left-out tasks"),
        ("AIQ gains, pools", "left-out tasks, pools of 12 models"),
    ):
        shown = [
            _count_below_zero(
                [(g, t) for one in left_out.values() for t, g in one.get(name, {}).items()]
            )
            for name in (key, f"{key}, means only")
        ]
        if shown[0]:
            floor = f"models' means on the other tasks: {shown[1]}"
            yield f"AIQ above zero router, {what}", shown[0], floor, "never negative"


def _count_below_zero(gains: list[tuple[float, str]]) -> str:
    if not gains:
        return ""
    below, (least, task) = sum(round(gain, 4) < 0 for gain, _ in gains), min(gains)
    mean = np.mean([gain for gain, _ in gains])
    return f"{below} of {len(gains)} below 0, mean {mean:+.4f}, worst {least:+.4f} ({task})"


def _details(figures: Figures) -> Iterator[Line]:
    for stage, note in (("unlabelled", "no label of it used"), ("labelled", "all labels")):
        for name, one in figures.get(stage, {}).items():
            fifths = one.get("length quintiles", {}).values()
            text = " ".join(f"{value:.2f}" for value in fifths)
            yield f"APGR within length fifths, {name}, {note}", text, "shortest first", ""
    for name, table in _left_out(figures).items():
        for pair, one in table["pairs"].items():
            tasks = one["tasks"]
            worst = min(tasks, key=tasks.get) if tasks else ""
            mean = np.mean(list(tasks.values()))
            text = f"pooled {_with_interval(one['pooled'])}, task mean {mean:.3f}"
            ridge, length = (
                one.get(floor, _UNKNOWN)["value"] for floor in ("TF-IDF ridge", "prompt length")
            )
            beside = f"TF-IDF ridge {ridge:.3f}, prompt length {length:.3f}; worst {worst}"
            beside += f" {tasks.get(worst, 0):.2f}"
            yield f"APGR left-out tasks, {name}, {pair}", text, beside, ""
        for task, gain in table["AIQ gains"].items():
            means, pools, pools_means = (
                table.get(f"AIQ gains, {key}", {}).get(task, np.nan)
                for key in ("means only", "pools", "pools, means only")
            )
            what = f"AIQ above zero router, {name}, {task} left out"
            beside = f"means only {means:+.4f}; pools {pools:+.4f}, means only {pools_means:+.4f}"
            yield what, f"{gain:+.4f}", beside, ""
    for name, one in figures.get("steady", {}).items():
        for steady, found in one.items():
            text = f"{found['kept']:.1%} of the quality kept, {found['saved']:.1%} saved"
            yield f"quality 0.95, steady {float(steady):g}, {name}", text, "", ""


def _with_interval(one: Mapping[str, float], shape: str = "{:.3f}") -> str:
    return (
        f"{shape.format(one['value'])} ({shape.format(one['low'])} to {shape.format(one['high'])})"
    )
