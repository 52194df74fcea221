"""``python -m benchmarks.classify DATA…``: how well and how fast the classifiers work.

DATA are labelled JSONL files, plain or gzipped; with the project's own prompts they are split into
folds by source, and what the folds print is measured on sources that training never saw. All parts
run unless some are named with ``--part``. ``--out`` writes JSON, ``--docs`` a page. The peer runs
where its packages are installed. Folds are kept in ``$XDG_CACHE_HOME/turnout/benchmarks`` under
the hash of code and data.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.classify import attacks, folds, long, others, speed
from benchmarks.classify.interval import formatted
from benchmarks.machine import describe
from turnout.classifiers import LocalClassifier

Part = Callable[[tuple[Path, ...]], dict[str, Any]]

PARTS: dict[str, Part] = {
    "card": folds.card,
    "folds": folds.folds,
    "curve": folds.curve,
    "languages": folds.languages,
    "disguises": attacks.disguises,
    "long": long.long,
    "attacks": attacks.label_attacks,
    "follow_ups": attacks.follow_ups,
    "next_turns": attacks.next_turns,
    "own_prompts": attacks.own_prompts,
    "speed": speed.speed,
    "llm": others.llm,
    "peer": others.peer,
}
_NEED_DATA = frozenset({"folds", "curve", "languages"})


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", nargs="*", type=Path)
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--docs", type=Path)
    options = parser.parse_args()
    report: dict[str, Any] = {"machine": _machine()}
    for name in options.part or PARTS:
        started = time.perf_counter()
        print(f"{name} …", file=sys.stderr, flush=True)
        report[name] = _run_part(name, tuple(options.data))
        print(f"  {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
        if not options.json:
            _print_part(name, report[name])
        if options.out:
            options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    if options.json:
        print(json.dumps(report, indent=2))
    if options.docs:
        options.docs.write_text(page(report), encoding="utf-8")


def _machine() -> dict[str, str]:
    artefact = LocalClassifier.load().ref
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "artefact": f"{artefact.name} {artefact.version}, {artefact.digest}",
        **describe("numpy", "scikit-learn"),
    }


def _run_part(name: str, data: tuple[Path, ...]) -> dict[str, Any]:
    if name in _NEED_DATA and not data:
        return {"NOT RUN": "give the labelled data files as arguments"}
    return PARTS[name](data)


def _print_part(name: str, values: dict[str, Any]) -> None:
    print(f"\n{name}: {_summary(name)}")
    for figure, value in values.items():
        print(f"  {figure:<58} {formatted(value)}", flush=True)


def _summary(name: str) -> str:
    return (PARTS[name].__doc__ or "").splitlines()[0]


def page(report: dict[str, Any]) -> str:
    """The page of docs that shows a report."""
    lines = [
        "# Classifiers: measured",
        "",
        "Written by `python -m benchmarks.classify DATA… --docs docs/classifiers-results.md`; the",
        "interval of a figure is its 95 % one. The terms, the aims and what limits them are in",
        "[experiments/classifiers.md](../experiments/classifiers.md#terms).",
        "",
    ]
    lines += [f"- {name}: {value}" for name, value in report["machine"].items()]
    for name, values in report.items():
        if name == "machine":
            continue
        lines += ["", f"## {name.replace('_', ' ').capitalize()}", "", _summary(name), ""]
        lines += ["| what | value | 95 % |", "|---|---|---|"]
        lines += [_row(figure, value) for figure, value in values.items()]
    return "\n".join(lines) + "\n"


def _row(figure: str, value: object) -> str:
    text, _, interval = formatted(value).partition("  ")
    return f"| {figure} | {text} | {interval.strip('[]').replace(', ', ' to ')} |"


if __name__ == "__main__":
    main()
