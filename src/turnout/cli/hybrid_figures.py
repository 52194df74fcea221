"""What asking a model about unsure prompts gains and costs, on the user's own labels.

If no model is asked, the gain is at most the share of wrong local labels, and the cost comes from
the price book; if one is, both are measured.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Any

from turnout.classifiers import Band
from turnout.classifiers.calibration import Labelled
from turnout.cli.jsonl import Line
from turnout.cli.labelling import DecidedLine, label_cost, line_decider
from turnout.cli.options import router_of
from turnout.cli.show import with_progress
from turnout.config import Config
from turnout.core import UNSAFE, Prediction, usd
from turnout.decision import label_parents, served_intent
from turnout.runtime import Router
from turnout.runtime.receipt import total


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A prompt inside the band: its label, and what the local classifier says."""

    line: Line
    wanted: str
    local: str


def hybrid_figures(
    good: Sequence[Line],
    rows: Sequence[Labelled],
    *,
    config: Config | None,
    band: Band,
    threshold: float,
    ask: bool,
    ledger: bool,
) -> dict[str, Any]:
    """The band's share of the prompts, its share of wrong local labels, cost and gain."""
    intents = frozenset(config.intents) - {UNSAFE} if config else None
    folded = label_parents(intents or frozenset())
    in_band = [
        _Case(line=line, wanted=folded.get(wanted, wanted), local=_local(prediction, intents))
        for line, (prediction, wanted) in zip(good, rows, strict=True)
        if band.needs_label(prediction, threshold)
    ]
    wrong = sum(case.local != case.wanted for case in in_band)
    found: dict[str, Any] = {
        "band": {"confidence": band.confidence, "unsafe": band.unsafe},
        "share_asked": len(in_band) / len(rows),
        "local_wrong_inside": wrong / max(len(in_band), 1),
        "most_it_could_gain": wrong / len(rows),
        "model": None,
        "cost_usd_per_1000": None,
        "asked": None,
    }
    if config is None:
        return found
    with _router(config, ledger=ledger) as r:
        model, cost = label_cost(r, [case.line.messages for case in in_band])
        found |= {"model": model, "cost_usd_per_1000": _per_1000(cost, len(rows))}
        if ask and in_band and r.parts.label_model is not None:
            found["asked"] = _measured(r, in_band, len(rows))
    return found


def figure_lines(found: dict[str, Any]) -> Iterator[str]:
    """The figures in words."""
    model = found["model"] or "a model"
    yield (
        f"hybrid would ask {model} about {found['share_asked']:.1%} of these prompts; the local "
        f"label is wrong for {found['local_wrong_inside']:.1%} of them, so it can gain at most "
        f"{found['most_it_could_gain']:.1%}"
    )
    if found["model"]:
        cost = _dollars(found["cost_usd_per_1000"])
        yield f"expected extra cost, from the price book: {cost} for 1,000 requests"
    asked = found["asked"]
    if asked:
        yield (
            f"asked about {asked['prompts']}: right for {asked['right_inside']:.1%} (local "
            f"{asked['local_right_inside']:.1%}), which gains {asked['gain']:+.1%} of all prompts "
            f"for {_dollars(asked['cost_usd_per_1000'])} for 1,000 requests; "
            f"{asked['latency_ms']['p50']:.0f} ms at the median, {asked['latency_ms']['p95']:.0f} "
            f"ms at the 95th percentile"
        )
        for failure, number in asked["failures"].items():
            yield f"  no label {number} times: {failure}"


def _router(config: Config, *, ledger: bool) -> Router:
    """The configuration's router without its calibration, which may be about to change."""
    section = config.classifier.model_copy(update={"calibration": None})
    return router_of(config.model_copy(update={"classifier": section}), ledger=ledger)


def _measured(r: Router, in_band: Sequence[_Case], prompts: int) -> dict[str, Any]:
    with line_decider(r) as ask:
        count = len(in_band)
        decided = list(with_progress(ask([case.line for case in in_band]), "ask", count))
    pairs = list(zip(in_band, decided, strict=True))
    right = sum(decision.intent == case.wanted for case, (decision, _) in pairs)
    before = sum(case.local == case.wanted for case in in_band)
    calls = [outcome for _, outcomes in decided for outcome in outcomes]
    cost = total([call.cost_pico_usd for call in calls])
    failures = Counter(d.prediction.label_failure for d, _ in decided)
    del failures[None]
    return {
        "prompts": count,
        "right_inside": right / count,
        "local_right_inside": before / count,
        "gain": (right - before) / prompts,
        "failures": dict(failures),
        "cost_usd": usd(cost),
        "cost_usd_per_1000": _per_1000(cost, prompts),
        "latency_ms": _latency(decided),
    }


def _latency(decided: Sequence[DecidedLine]) -> dict[str, float]:
    latencies_ms = [outcome.latency_ms for _, outcomes in decided for outcome in outcomes]
    if not latencies_ms:
        return {"p50": 0.0, "p95": 0.0}
    percentiles = (
        quantiles(latencies_ms, n=100, method="inclusive")
        if len(latencies_ms) > 1
        else latencies_ms * 99
    )
    return {"p50": percentiles[49], "p95": percentiles[94]}


def _local(prediction: Prediction, intents: frozenset[str] | None) -> str:
    known = frozenset(name for name, _ in prediction.intents)
    return served_intent(prediction, known if intents is None else intents)[0] or ""


def _per_1000(pico: int | None, prompts: int) -> float | None:
    dollars = usd(pico)
    return None if dollars is None else 1000 * dollars / prompts


def _dollars(amount: float | None) -> str:
    return "an unknown amount" if amount is None else f"${amount:.4f}"
