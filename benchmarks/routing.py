"""``python -m benchmarks.routing``: the shared routing tables as one benchmark.

Five grouped folds (``bucket`` mod 5) over all rows, with tuning inside the training folds, and
whole tasks left out; floors are computed in the same run. ``--data`` names the folder with the
tables, ``--stage`` runs one part, ``--out`` keeps the figures (a rerun of one part updates it)
and ``--docs`` writes the table. Without the data it says so and measures nothing.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.machine import spread, timed
from benchmarks.routing_report import document
from turnout.classifiers.success import SuccessPredictor, by_probes
from turnout.core import Candidate, Constraints, Features, Prediction, Ref, Request, Snapshot
from turnout.decision import Rulebook, SafetyRule, decide
from turnout.evaluation import baselines, metrics
from turnout.evaluation.driver import catalog
from turnout.evaluation.outcome_table import OutcomeTable
from turnout.evaluation.row_files import read_jsonl
from turnout.evaluation.table_files import read_table
from turnout.features.prompt import PromptText, row_text
from turnout.policies import CheapestAboveQuality, Situation
from turnout.training.calibrate import Margin, choose
from turnout.training.crossfit import grouped_folds, grouped_folds_with_strangeness, row_folds
from turnout.training.probe import informative_rows
from turnout.training.success import train

Floats = npt.NDArray[np.float64]
Figures = dict[str, Any]
Predicted = tuple[Mapping[str, float], float]

FOLDS = 5
PAIR = ("mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview")
# The same two models, as named in the one table that has both but none of these sets.
PAIR_ELSEWHERE = ("mistralai/mixtral-8x7b-chat", "gpt-4-1106-preview")
LEFT_OUT = {
    "llmrouter9": [
        ("qwen2.5-7b-instruct", "llama-3.1-nemotron-51b-instruct"),
        ("llama-3.1-8b-instruct", "llama-3.3-nemotron-super-49b-v1"),
        ("mistral-7b-instruct-v0.3", "llama-3.1-nemotron-51b-instruct"),
    ],
    "bfcl_v1": [
        # Not the release of August: asked in prose it answers three in ten, so it is not stronger.
        ("gpt-3.5-turbo-0125", "gpt-4o-2024-05-13"),
        ("meta-llama_Meta-Llama-3-8B-Instruct", "gpt-4o-mini-2024-07-18"),
    ],
    "mmlu_pro": [
        ("Meta-Llama-3_1-8B", "gemini-1.5-pro-002"),
        ("gemini-1.5-flash-002", "gemini-1.5-pro-002"),
        ("Mixtral-8x7B-Instruct-v0.1", "gemini-1.5-pro-002"),
    ],
}
# Priced models of one release each, for a range of costs like that of an API user.
BFCL_API = (
    "claude-3-5-sonnet-20240620",
    "claude-3-haiku-20240307",
    "claude-3-opus-20240229",
    "gemini-1.5-flash-preview-0514",
    "gemini-1.5-pro-preview-0514",
    "gpt-3.5-turbo-0125",
    "gpt-4-0125-preview",
    "gpt-4o-2024-08-06",
    "gpt-4o-mini-2024-07-18",
    "meta-llama_Meta-Llama-3-70B-Instruct",
    "meta-llama_Meta-Llama-3-8B-Instruct",
    "mistral-large-2407",
)
# A pair is measured on a task only where the strong model leads by this much.
LEAST_GAP = 0.03
# The margin that docs/routing.md names.
STEADY = 0.1
PARAPHRASES = Path("datasets/paraphrases/paraphrases.jsonl")


def main() -> None:
    """Measure the stages asked for, keep and print the result."""
    options = _options()
    if not (options.data / "routellm_mmlu.npz").exists():
        sys.exit(f"NOT RUN: the routing tables are not in {options.data}")
    known: Figures = json.loads(options.out.read_text()) if options.out.exists() else {}
    for name in options.stage or STAGES:
        started = time.monotonic()
        figures = STAGES[name](options.data)
        known[name] = {"figures": figures, "seconds": round(time.monotonic() - started)}
        sys.stderr.write(f"{name}: {known[name]['seconds']} s\n")
        options.out.write_text(json.dumps(known, indent=1, default=float) + "\n")
    text = document(known)
    if options.docs:
        options.docs.write_text(text)
    print(text)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("routing-benchmark.json"))
    parser.add_argument("--docs", type=Path)
    parser.add_argument("--stage", action="append", choices=list(STAGES))
    return parser.parse_args()


def _tables(data: Path, *names: str) -> list[OutcomeTable]:
    return [read_table(data / name) for name in names]


def _pair_apgr(table: OutcomeTable, success: Floats) -> Figures:
    weak, strong = (table.models.index(model) for model in PAIR)
    return _apgr(table, success[:, strong] - success[:, weak])


def _apgr(
    table: OutcomeTable,
    strength: Floats,
    pair: Sequence[str] = PAIR,
    rows: npt.NDArray[np.bool_] | None = None,
) -> Figures:
    weak, strong = (table.score[:, table.models.index(model)] for model in pair)
    known = ~(np.isnan(weak) | np.isnan(strong))
    known &= np.array([not c for c in table.column("routellm_contaminated")])
    if rows is not None:
        known &= rows
    s, w, v = strong[known], weak[known], strength[known]
    low, high = metrics.bootstrap(lambda i: metrics.apgr(v[i], w[i], s[i]), len(w))
    return {"value": metrics.apgr(v, w, s), "low": low, "high": high}


def _within_quintiles(table: OutcomeTable, strength: Floats) -> Figures:
    """APGR in each fifth of the prompts by length, shortest first, without length's effect."""
    place = np.argsort(np.argsort(_prompt_lengths(table), kind="stable")) * 5 // len(table.prompts)
    return {str(q): _apgr(table, strength, rows=place == q)["value"] for q in range(5)}


def labelled(data: Path) -> Figures:
    """APGR of MMLU and GSM8K with the development labels, and its floors."""
    names = ("routellm_mmlu", "routellm_gsm8k", "zeroeval_gsm")
    tables = _tables(data, *names)
    found = grouped_folds(tables, folds=FOLDS)
    figures: Figures = {}
    for table, success in zip(tables[:2], found, strict=False):
        figures[table.name] = {
            "turnout": _pair_apgr(table, success),
            "length quintiles": _within_quintiles(table, success[:, 1] - success[:, 0]),
            "TF-IDF ridge": _apgr(table, _tfidf(table)),
            "prompt length": _apgr(table, _prompt_lengths(table)),
            "calibration error": metrics.calibration_error(success, table.score),
        }
    gains = tables[0].score[:, 1] - tables[0].score[:, 0]
    by_task = baselines.task_oracle(gains[:, None], tables[0].column("task"))[:, 0]
    figures["routellm_mmlu"]["task oracle"] = _apgr(tables[0], by_task)
    return figures


def few_labels(data: Path) -> Figures:
    """APGR of MMLU with 1,500 labels drawn from the training folds."""
    (table,) = _tables(data, "routellm_mmlu")
    place, found = row_folds(table, FOLDS), np.zeros(table.score.shape)
    floor = np.zeros(len(table.prompts))
    for fold in range(FOLDS):
        rows = np.random.default_rng(fold).permutation(np.flatnonzero(place != fold))[:1500]
        test = np.flatnonzero(place == fold)
        found[test] = _predicted(train([table.rows(rows)]), table, test)
        floor[test] = _tfidf_fold(table, _strong_gain(table), rows, test)
    return {"turnout": _pair_apgr(table, found), "TF-IDF ridge": _apgr(table, floor)}


def unlabelled(data: Path) -> Figures:
    """APGR of MMLU and GSM8K from other tables only, which have none of their questions."""
    sets = _tables(data, "routellm_mmlu", "routellm_gsm8k")
    others = _tables(
        data, "routerbench_zs", "mmlu_pro", "llmrouter9", "bfcl_v1", "zeroeval_gsm",
        "zeroeval_mathl5",
    )  # fmt: skip
    found = [np.zeros(len(table.prompts)) for table in sets]
    for fold in range(FOLDS):
        predictor = train([other.rows(row_folds(other, FOLDS) != fold) for other in others])
        weak, strong = (predictor.models.index(model) for model in PAIR_ELSEWHERE)
        for table, out in zip(sets, found, strict=True):
            rows = np.flatnonzero(row_folds(table, FOLDS) == fold)
            success = predictor.predict_all([row_text(table.prompts[r]) for r in rows])
            out[rows] = success[:, strong] - success[:, weak]
    return {
        table.name: {
            "turnout": _apgr(table, out),
            "length quintiles": _within_quintiles(table, out),
            "prompt length": _apgr(table, _prompt_lengths(table)),
        }
        for table, out in zip(sets, found, strict=True)
    }


def left_out(data: Path, name: str) -> Figures:
    """APGR and AIQ on the tasks of one table, each left out of training in turn."""
    (table,) = _tables(data, name)
    tasks = np.array([str(task) for task in table.column("task")])
    success = np.zeros(table.score.shape)
    for task in np.unique(tasks):
        rows = np.flatnonzero(tasks == task)
        success[rows] = _predicted(train([table.rows(tasks != task)]), table, rows)
    floors, pairs = _tfidf_left_out(table, LEFT_OUT[name], tasks), {}
    for number, pair in enumerate(LEFT_OUT[name]):
        weak, strong = (table.models.index(model) for model in pair)
        strength = success[:, strong] - success[:, weak]
        pairs[" → ".join(pair)] = {
            "pooled": _apgr(table, strength, pair),
            "TF-IDF ridge": _apgr(table, floors[:, number], pair),
            "prompt length": _apgr(table, _prompt_lengths(table), pair),
            "tasks": {
                str(task): _apgr(table, strength, pair, tasks == task)["value"]
                for task in np.unique(tasks)
                if _quality_gap(table, pair, tasks == task) > LEAST_GAP
            },
        }
    figures = {
        "pairs": pairs,
        "calibration error": metrics.calibration_error(success, table.score),
        "AIQ gains": {},
    }
    if table.cost_usd is not None:
        means = _other_means(table, tasks)
        figures["AIQ gains"] = _gains_by_task(table, success, tasks)
        figures["AIQ gains, means only"] = _gains_by_task(table, means, tasks)
        figures["AIQ gains, pools"] = _gains_of_pools(table, success, tasks)
        figures["AIQ gains, pools, means only"] = _gains_of_pools(table, means, tasks)
    return figures


def cost_aware(data: Path) -> Figures:
    """AIQ above the zero router and savings, five grouped folds."""
    bench, bfcl, gsm, maths = _tables(
        data, "routerbench_zs", "bfcl_v1", "zeroeval_gsm", "zeroeval_mathl5"
    )
    figures = {}
    for table in (bench, bfcl):
        success = grouped_folds([table], folds=FOLDS)[0]
        figures[table.name] = _cost_figures(table, success)
        if table is bfcl:
            few = table.columns(BFCL_API)
            chosen = success[:, [table.models.index(model) for model in BFCL_API]]
            figures["bfcl_v1, API models"] = _cost_figures(few, chosen)
    both, success = _pooled_tables([gsm, maths], grouped_folds([gsm, maths], folds=FOLDS))
    figures[both.name] = _cost_figures(both, success)
    return figures


def _pooled_tables(
    tables: Sequence[OutcomeTable], found: Sequence[Floats]
) -> tuple[OutcomeTable, Floats]:
    """The rows of two tables on the priced models of both, and the predictions for them."""
    one, other = tables
    # Opus costs fourteen times the best model and would only stretch the range.
    common = [m for m in one.priced().models if m in other.priced().models and "opus" not in m]
    cut = [table.columns(common) for table in tables]
    success = [
        f[:, [t.models.index(m) for m in common]] for f, t in zip(found, tables, strict=True)
    ]
    both = OutcomeTable(
        name="zeroeval pooled",
        prompts=cut[0].prompts + cut[1].prompts,
        models=tuple(common),
        score=np.vstack([t.score for t in cut]),
        cost_usd=np.vstack([_known_costs(t) for t in cut]),
    )
    return both, np.vstack(success)


def newcomers(data: Path) -> Figures:
    """AIQ lost when a model is known from 200 probes, against training on all its rows."""
    (table,) = _tables(data, "routerbench_zs")
    table = table.priced()
    place = row_folds(table, FOLDS)
    kept, test = table.rows(place != 0), np.flatnonzero(place == 0)
    score, cost = table.score[test], _known_costs(table)[test]
    whole = _predicted(train([kept]), table, test)
    full = metrics.cost_quality(whole, score, cost).aiq
    prompts = [row_text(row) for row in kept.prompts]
    losses = {}
    for number, model in enumerate(table.models):
        others = [name for name in table.models if name != model]
        predictor = train([kept.columns(others)])
        success = predictor.predict_all(prompts)
        probes = informative_rows(success, 200)
        newcomer = by_probes(
            model, success[probes], kept.score[probes, number].astype(np.float32), predictor.models
        )
        known = predictor.predict_all([row_text(table.prompts[row]) for row in test])
        order = {name: column for column, name in enumerate(predictor.models)}
        mixed = whole.copy()
        for column, name in enumerate(table.models):
            mixed[:, column] = (
                newcomer.predict(known, order) if name == model else known[:, order[name]]
            )
        losses[model] = full - metrics.cost_quality(mixed, score, cost).aiq
    return {"losses": losses, "mean": float(np.mean(list(losses.values())))}


def choices_unchanged(data: Path) -> Figures:
    """Share of own prompts whose choice stays the same when they are reworded."""
    if not PARAPHRASES.exists():
        return {}
    rows = read_jsonl(PARAPHRASES)
    tables = _tables(data, "routerbench_zs", "zeroeval_gsm", "routellm_mmlu", "llmrouter9")
    figures = {}
    for table in tables:
        predictor = train([table])
        predicted = [
            [predictor.predict_with_strangeness(PromptText(text)) for text in _wordings(row)]
            for row in rows
        ]
        means = np.nanmean(table.score, axis=0).tolist()
        usual = tuple(zip(table.models, means, strict=True))
        free, steady = (
            _same_choices(
                predicted, _mean_cost(table), CheapestAboveQuality(steady=margin, usual=usual)
            )
            for margin in (0.0, STEADY)
        )
        figures[table.name] = {
            "unchanged": float(np.mean(free)),
            "steady": float(np.mean(steady)),
            "pairs": len(free),
        }
    return figures


def cost_of_steady(data: Path) -> Figures:
    """What ``steady`` costs: quality kept and cost saved by the policy, five grouped folds."""
    bench, *zeroeval = _tables(data, "routerbench_zs", "zeroeval_gsm", "zeroeval_mathl5")
    ((success, strange),) = grouped_folds_with_strangeness([bench], folds=FOLDS)
    predicted = grouped_folds_with_strangeness(zeroeval, folds=FOLDS)
    both, pooled = _pooled_tables(zeroeval, [found for found, _ in predicted])
    figures: Figures = {}
    for table, found, strangeness in (
        (bench, success, strange),
        (both, pooled, np.concatenate([strangeness for _, strangeness in predicted])),
    ):
        priced, place = table.priced(), {key: row for row, key in enumerate(table.ids)}
        rows = np.array([place[key] for key in priced.ids])
        columns = np.array([table.models.index(model) for model in priced.models])
        figures[table.name] = {
            str(steady): _kept_and_saved(
                priced, found[np.ix_(rows, columns)], strangeness[rows], steady
            )
            for steady in (0.0, STEADY)
        }
    return figures


def _kept_and_saved(
    table: OutcomeTable, success: Floats, strange: Floats, steady: float
) -> Figures:
    """Shares of the best single model's quality kept and cost saved at ``quality: 0.95``."""
    score, cost = table.score, _known_costs(table)
    margin = Margin(means=score.mean(axis=0), margins=steady * strange)
    chosen = choose(success, cost.mean(axis=0), 0.95, margin)
    rows, best = np.arange(len(score)), int(score.mean(axis=0).argmax())
    return {
        "kept": float(score[rows, chosen].mean() / score[:, best].mean()),
        "saved": float(1 - cost[rows, chosen].mean() / cost[:, best].mean()),
    }


def latency(data: Path) -> Figures:
    """Milliseconds from prompt to decision with 30 candidate models, on one core."""
    (table,) = _tables(data, "bfcl_v1")
    table = table.columns(table.priced().models[:30])
    predictor, mean_cost = train([table]), _mean_cost(table)
    rules = Rulebook(
        catalog=catalog(table.models, mean_cost),
        policy=CheapestAboveQuality(),
        safety=SafetyRule(threshold=2.0, refusal="", block=False),
    )
    prompts = [
        row_text(row) for t in _tables(data, "routellm_mmlu", "bfcl_v1") for row in t.prompts
    ]
    order = iter(np.random.default_rng(0).integers(0, len(prompts), 10**6).tolist())

    def route() -> None:
        prompt = prompts[next(order)]
        success = predictor.predict(prompt)
        body = {"messages": [{"role": "user", "content": prompt.text}]}
        decide(
            Request(id="r", body=body, constraints=Constraints()),
            Features(input_tokens={"o200k_base": 0}, output_tokens=1),
            Prediction(classifier=Ref(name="success"), harm=0.0, success=success),
            Snapshot(),
            rules,
        )

    return {
        "predict and decide, ms": {k: v / 1e3 for k, v in spread(timed(route, rounds=3000)).items()}
    }


def _cost_figures(table: OutcomeTable, success: Floats) -> Figures:
    priced = table.priced()
    place = {key: row for row, key in enumerate(table.ids)}
    found = success[[place[key] for key in priced.ids]][
        :, [table.models.index(m) for m in priced.models]
    ]
    score, cost = priced.score, _known_costs(priced)
    routed = metrics.cost_quality(found, score, cost)
    low, high = metrics.bootstrap(
        lambda i: metrics.cost_quality(found[i], score[i], cost[i]).gain, len(score), draws=60
    )
    figures: Figures = {
        "models": len(priced.models),
        "AIQ": routed.aiq,
        "zero router": routed.zero,
        "gain": {"value": routed.gain, "low": low, "high": high},
        "saving at 95 %": routed.saving,
        "saving by mixing": routed.saving_zero,
        "saving vs dearest": 1 - (1 - routed.saving) * _best_cost(score, cost) / cost.mean(0).max(),
        "calibration error": metrics.calibration_error(success, table.score),
    }
    floor = metrics.cost_quality(_knn(priced), score, cost)
    figures |= {"kNN gain": floor.gain, "kNN saving": floor.saving}
    tasks = table.column("task")
    bound = metrics.cost_quality(baselines.task_oracle(score, priced.column("task")), score, cost)
    if len(set(tasks)) > 1:
        figures["task oracle"] = bound.gain
    return figures


def _best_cost(score: Floats, cost: Floats) -> float:
    return float(cost.mean(axis=0)[int(score.mean(axis=0).argmax())])


def _gains_by_task(
    table: OutcomeTable, success: Floats, tasks: npt.NDArray[Any]
) -> dict[str, float]:
    priced = table.priced()
    columns = [table.models.index(model) for model in priced.models]
    gains = {}
    for task in np.unique(tasks):
        rows = tasks == task
        gains[str(task)] = metrics.cost_quality(
            success[rows][:, columns], priced.score[rows], _known_costs(priced)[rows]
        ).gain
    return gains


def _other_means(table: OutcomeTable, tasks: npt.NDArray[Any]) -> Floats:
    """Each model's mean on the other tasks: all that is known about a task without its prompts."""
    found = np.empty_like(table.score)
    for task in np.unique(tasks):
        found[tasks == task] = np.nanmean(table.score[tasks != task], axis=0)
    return found


def _gains_of_pools(
    table: OutcomeTable, success: Floats, tasks: npt.NDArray[Any]
) -> dict[str, float]:
    """The mean over twenty draws of twelve priced models: one pool's figure is mostly luck."""
    random, priced = np.random.default_rng(1), table.priced().models
    gains = []
    for _ in range(20):
        pool = list(random.choice(priced, min(12, len(priced)), replace=False))
        columns = [table.models.index(model) for model in pool]
        gains.append(_gains_by_task(table.columns(pool), success[:, columns], tasks))
    return {task: float(np.mean([gain[task] for gain in gains])) for task in gains[0]}


def _quality_gap(table: OutcomeTable, pair: Sequence[str], rows: npt.NDArray[np.bool_]) -> float:
    weak, strong = (table.score[rows, table.models.index(model)] for model in pair)
    return float(np.nanmean(strong - weak))


def _predicted(
    predictor: SuccessPredictor, table: OutcomeTable, rows: npt.NDArray[np.int64]
) -> Floats:
    columns = [predictor.models.index(model) for model in table.models]
    prompts = [row_text(table.prompts[row]) for row in rows]
    return predictor.predict_all(prompts)[:, columns].astype(np.float64)


def _prompt_lengths(table: OutcomeTable) -> Floats:
    """Characters of each prompt: longer goes to the stronger model."""
    return np.array([float(len(row_text(row).text)) for row in table.prompts])


def _strong_gain(table: OutcomeTable) -> Floats:
    weak, strong = (table.models.index(model) for model in PAIR)
    return np.asarray(table.score[:, strong] - table.score[:, weak])


def _tfidf(table: OutcomeTable) -> Floats:
    place, found = row_folds(table, FOLDS), np.zeros(len(table.prompts))
    for fold in range(FOLDS):
        test = np.flatnonzero(place == fold)
        found[test] = _tfidf_fold(table, _strong_gain(table), np.flatnonzero(place != fold), test)
    return found


def _tfidf_fold(
    table: OutcomeTable, gain: Floats, rows: npt.NDArray[np.int64], test: npt.NDArray[np.int64]
) -> Floats:
    """The published floor: ridge on TF-IDF of words and pairs, of the strong model's gain."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import Ridge

    texts = [row_text(row).text for row in table.prompts]
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    known = words.fit_transform([texts[row] for row in rows])
    ridge = Ridge(alpha=3.0, solver="sparse_cg").fit(known, gain[rows])
    return np.asarray(ridge.predict(words.transform([texts[row] for row in test])))


def _tfidf_left_out(
    table: OutcomeTable, pairs: Sequence[Sequence[str]], tasks: npt.NDArray[Any]
) -> Floats:
    """``[n, pairs]``: the published floor for each pair's gain, each task left out in turn."""
    gains = np.stack(
        [
            table.score[:, table.models.index(s)] - table.score[:, table.models.index(w)]
            for w, s in pairs
        ],
        axis=1,
    )
    found = np.zeros_like(gains)
    for task in np.unique(tasks):
        test, rows = np.flatnonzero(tasks == task), np.flatnonzero(tasks != task)
        for number in range(len(pairs)):
            kept = rows[~np.isnan(gains[rows, number])]
            found[test, number] = _tfidf_fold(table, gains[:, number], kept, test)
    return found


def _knn(table: OutcomeTable) -> Floats:
    """The best published floor of several models: 40 neighbours on TF-IDF, five grouped folds."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    place, found = row_folds(table, FOLDS), np.zeros(table.score.shape)
    texts = [row_text(row).text for row in table.prompts]
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    for fold in range(FOLDS):
        rows, test = np.flatnonzero(place != fold), np.flatnonzero(place == fold)
        known = words.fit_transform([texts[row] for row in rows])
        near = (words.transform([texts[row] for row in test]) @ known.T).toarray()
        nearest = np.argsort(-near, axis=1, kind="stable")[:, :40]
        score = np.where(np.isnan(table.score), np.nanmean(table.score, axis=0), table.score)[rows]
        found[test] = score[nearest].mean(axis=1)
    return found


def _known_costs(table: OutcomeTable) -> Floats:
    if table.cost_usd is None:
        raise ValueError(f"{table.name} has no costs")
    return table.cost_usd


def _mean_cost(table: OutcomeTable) -> dict[str, float]:
    if table.cost_usd is None:
        # Without prices, a model's place by quality stands in for its price.
        rank = np.argsort(np.argsort(np.nanmean(table.score, axis=0)))
        return {m: float(2.0**r) * 1e-5 for m, r in zip(table.models, rank, strict=True)}
    # A model without a price is left out, so that it counts as the dearest.
    costs = zip(table.models, table.cost_usd.T, strict=True)
    return {model: float(np.nanmean(cost)) for model, cost in costs if not np.isnan(cost).all()}


def _same_choices(
    predicted: Sequence[Sequence[Predicted]],
    mean_cost: Mapping[str, float],
    policy: CheapestAboveQuality,
) -> list[bool]:
    """For each paraphrase, whether the policy's choice is the same as for the original."""
    choices = [[_choice(one, mean_cost, policy) for one in wordings] for wordings in predicted]
    return [choice == first for first, *others in choices for choice in others]


def _choice(
    predicted: Predicted, mean_cost: Mapping[str, float], policy: CheapestAboveQuality
) -> str:
    success, strange = predicted
    pool = [
        Candidate(
            deployment=model,
            model=model,
            cost_pico_usd=round(mean_cost[model] * 1e12) if model in mean_cost else None,
            quality=p,
        )
        for model, p in success.items()
    ]
    situation = Situation(
        request=Request(id="r", body={}),
        features=Features(input_tokens={}, output_tokens=0),
        prediction=Prediction(classifier=Ref(name="success"), success=success, strange=strange),
        snapshot=Snapshot(),
        intent=None,
    )
    return policy.rank(pool, situation)[0].deployment


def _wordings(row: Mapping[str, Any]) -> list[str]:
    return [row["original"], *row["paraphrases"]]


STAGES: dict[str, Callable[[Path], Figures]] = {
    "labelled": labelled,
    "few labels": few_labels,
    "unlabelled": unlabelled,
    "cost": cost_aware,
    **{f"left out: {name}": partial(left_out, name=name) for name in LEFT_OUT},
    "newcomers": newcomers,
    "paraphrases": choices_unchanged,
    "steady": cost_of_steady,
    "latency": latency,
}


if __name__ == "__main__":
    main()
