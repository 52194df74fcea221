"""A small world of outcomes: two kinds of questions, three models, known costs."""

import gzip
import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from turnout.classifiers.success import SuccessPredictor
from turnout.evaluation.table_files import read_table
from turnout.training.bundle import write_bundle
from turnout.training.success import train

MODELS = ("small", "coder", "large")
COSTS = (0.001, 0.004, 0.01)


def prompts(count: int, seed: int = 0, first: int = 0) -> list[dict[str, object]]:
    """Sums of many numbers and short naming questions, in turn, numbered from ``first``."""
    random = np.random.default_rng(seed)
    rows: list[dict[str, object]] = []
    for number in range(first, first + count):
        if number % 2:
            terms = ", ".join(str(random.integers(10, 999)) for _ in range(8))
            text = f"Calculate the total of {terms} and then divide it by {number + 2}."
            rows.append({"id": f"sum-{number}", "task": "sums", "prompt": text})
        else:
            thing = ["river", "city", "bird", "poet", "metal"][number % 5]
            text = f"Name a well known {thing} that starts with letter {chr(97 + number % 26)}"
            rows.append({"id": f"name-{number}", "task": "names", "prompt": f"{text} ({number})."})
        rows[-1]["bucket"] = number % 70
    return rows


def score(rows: list[dict[str, object]]) -> np.ndarray:
    """Everyone names well; sums need the large model."""
    random = np.random.default_rng(1)
    chance = np.array([[0.2, 0.5, 0.9] if r["task"] == "sums" else [0.9, 0.6, 0.9] for r in rows])
    return (random.random(chance.shape) < chance).astype(np.float32)


def write_table(
    folder: Path, name: str = "world", count: int = 240, first: int = 0, **changes: object
) -> Path:
    """The world as the three files of the shared format; ``changes`` replace its arrays.

    Prompts from ``first=240`` on are none that ``trained_predictor`` has seen, so that a promise on
    them is found by its own predictions, where prompts that it has seen take a training for each
    fold.
    """
    rows = prompts(count, first=first)
    arrays: dict[str, object] = {
        "ids": np.array([row["id"] for row in rows]),
        "models": np.array(MODELS),
        "score": score(rows),
        "cost_usd": np.tile(COSTS, (count, 1)),
    }
    arrays |= changes
    arrays = {key: value for key, value in arrays.items() if value is not None}
    prefix = folder / name
    np.savez(f"{prefix}.npz", **arrays)
    with gzip.open(f"{prefix}.prompts.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    Path(f"{prefix}.meta.json").write_text(json.dumps({"name": name}))
    return prefix


@cache
def trained_predictor(*models: str) -> SuccessPredictor:
    """The predictor of the world's table, of some models or all; trained once, as it takes long.

    Costs, tokens and latencies are not learned from.
    """
    with TemporaryDirectory() as folder:
        table = read_table(write_table(Path(folder)))
    return train([table.columns(models) if models else table])


def unpriced_bundle(folder: Path) -> str:
    """A bundle that has learned the world and knows no costs, so that a table's own are used."""
    table = read_table(write_table(folder, "unpriced", cost_usd=None))
    write_bundle(trained_predictor(), [table], folder / "unpriced-bundle")
    return str(folder / "unpriced-bundle")
