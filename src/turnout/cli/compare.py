"""``turnout compare``: what a file of prompts costs when routed, and with one model for all.

No model is called: prompts are counted and decided; the length of answers is measured or assumed.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from turnout.catalog import Deployment
from turnout.classifiers import Band
from turnout.cli.compare_quality import predicted_quality
from turnout.cli.jsonl import Line, read_lines
from turnout.cli.labelling import label_cost
from turnout.cli.options import ConfigOption, JsonOption, offline_router
from turnout.cli.show import out, print_json, print_table, report_line, with_progress
from turnout.core import ConfigError, Decision, InvalidRequest, RequestError, usd
from turnout.core.nearest import did_you_mean
from turnout.core.plural import many
from turnout.decision import input_tokens
from turnout.evaluation.row_files import open_unpacked
from turnout.features import EXPECTED_OUTPUT_TOKENS, count_tokens
from turnout.runtime import Router
from turnout.runtime.receipt import total

RECIPE_CLAIM = "60-80%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A prompt with its decision; the answer's ``output_tokens``, and whether they are measured."""

    line: Line
    decision: Decision
    output_tokens: int
    measured: bool


def compare(
    file: Annotated[Path, typer.Argument(help="JSONL of {text|messages, output_tokens?|answer?}.")],
    *,
    baseline: Annotated[
        str | None, typer.Option(help="Model to compare with; by default the strongest.")
    ] = None,
    output_tokens: Annotated[
        int, typer.Option(min=1, help="Answer length for lines without one.")
    ] = EXPECTED_OUTPUT_TOKENS,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Compare routed cost with one model for all, on your prompts. No model is called."""
    with offline_router(config) as r:
        cases, bad = _read_cases(r, file, output_tokens)
        if not cases:
            raise ConfigError(f"{file}: has no usable prompt")
        report = _report(r, cases, _baseline(r, baseline))
    if json:
        print_json(report)
    else:
        _show(report)
    if bad:
        raise typer.Exit(1)


def _baseline(r: Router, name: str | None) -> Deployment:
    catalog = r.parts.means.rules.catalog
    if name is None:
        return catalog.strongest()
    deployment = catalog.find(name)
    if deployment is None:
        fix = did_you_mean(name, catalog.names)
        raise ConfigError(f"--baseline {name!r} is not configured; {fix}")
    return deployment


def _read_cases(r: Router, file: Path, assumed_tokens: int) -> tuple[list[Case], int]:
    cases, bad = [], 0
    with open_unpacked(file) as source:
        for line in with_progress(read_lines(source), "compare"):
            problem = line.error
            if problem is None:
                try:
                    cases.append(_case(line, r.route(line.messages), assumed_tokens))
                except RequestError as error:
                    problem = str(error)
            if problem is not None:
                bad += 1
                report_line(file, line.number, problem)
    return cases, bad


def _case(line: Line, decision: Decision, assumed_tokens: int) -> Case:
    known = _answer_tokens(line.row)
    tokens = assumed_tokens if known is None else known
    return Case(line=line, decision=decision, output_tokens=tokens, measured=known is not None)


def _answer_tokens(row: Mapping[str, Any]) -> int | None:
    """The answer's tokens, given or counted; None if the row has neither. Raises InvalidRequest."""
    known = row.get("output_tokens")
    if known is not None:
        # Tables write whole numbers as 100.0 if others in the column are missing.
        if isinstance(known, bool | str | list | dict) or known < 0 or known % 1:
            raise InvalidRequest(f"output_tokens is {known!r}; use a whole number, or leave it out")
        return int(known)
    answer = next((row[name] for name in ("answer", "response") if row.get(name) is not None), None)
    if not isinstance(answer, str | None):
        raise InvalidRequest(f"answer must be a string, not {type(answer).__name__}")
    return None if answer is None else count_tokens([answer], "o200k_base")


def _report(r: Router, cases: Sequence[Case], baseline: Deployment) -> dict[str, Any]:
    catalog = r.parts.means.rules.catalog
    served = [c for c in cases if c.decision.routes]
    blocked = [c for c in cases if c.decision.blocked]
    chosen = _chosen_deployments(r, served)
    quality = predicted_quality([c.decision for c in served], chosen, baseline)
    routed = _routed_cost(r, served)
    unsure = _unsure_cases(r, cases)
    rows = {
        f"always {baseline.model}": _single_model_cost(baseline, served),
        f"always {catalog.cheapest().model}": _single_model_cost(catalog.cheapest(), served),
        "routed, local classifier": routed,
        "routed, hybrid": total([routed, _label_cost(r, unsure)]),
        "routed, LLM classifier": total([routed, _label_cost(r, cases)]),
    }
    baseline_cost = rows[f"always {baseline.model}"]
    return {
        "prompts": len(cases),
        "blocked": len(blocked),
        "asked_by_hybrid": len(unsure),
        "unroutable": len(cases) - len(served) - len(blocked),
        "measured_outputs": sum(c.measured for c in served),
        "assumed_outputs": sum(not c.measured for c in served),
        "baseline": baseline.model,
        "rows": [
            {
                "what": what,
                "cost_usd": usd(cost_pico_usd),
                "saving": _saving(cost_pico_usd, baseline_cost),
            }
            for what, cost_pico_usd in rows.items()
        ],
        "range": {
            name: _saving(
                _routed_cost(r, served, factor), _single_model_cost(baseline, served, factor)
            )
            for name, factor in (("half the output", 0.5), ("double the output", 2.0))
        },
        "intents": _by_intent(r, cases, baseline),
        "models": _model_counts(served),
        "quality": "predicted" if quality else "not measured",
        "predicted_quality": quality,
        "recipe_claim": RECIPE_CLAIM,
    }


def _unsure_cases(r: Router, cases: Sequence[Case]) -> list[Case]:
    """The prompts that a hybrid would ask a model about."""
    band = Band(**r.parts.config.classifier.band.model_dump())
    threshold = r.parts.means.rules.safety.threshold
    return [c for c in cases if band.needs_label(c.decision.prediction, threshold)]


def _label_cost(r: Router, cases: Sequence[Case]) -> int | None:
    return label_cost(r, [c.line.messages for c in cases])[1]


def _tokens(case: Case, factor: float) -> int:
    return case.output_tokens if case.measured else round(case.output_tokens * factor)


def _single_model_cost(
    deployment: Deployment, cases: Sequence[Case], factor: float = 1.0
) -> int | None:
    """The cost of all cases at one deployment, with prompts counted by its tokenizer."""
    if deployment.price is None:
        return None
    price = deployment.price
    return sum(
        price.expected_cost(input_tokens(c.decision.features, deployment), _tokens(c, factor))
        for c in cases
    )


def _chosen_deployments(r: Router, cases: Sequence[Case]) -> list[Deployment]:
    deployments = r.parts.means.rules.catalog.deployments
    return [deployments[c.decision.routes[0].deployment] for c in cases]


def _routed_cost(r: Router, cases: Sequence[Case], factor: float = 1.0) -> int | None:
    chosen = _chosen_deployments(r, cases)
    return total([_single_model_cost(d, [c], factor) for d, c in zip(chosen, cases, strict=True)])


def _saving(cost_pico_usd: int | None, baseline_cost: int | None) -> float | None:
    return None if cost_pico_usd is None or not baseline_cost else 1 - cost_pico_usd / baseline_cost


def _by_intent(r: Router, cases: Sequence[Case], baseline: Deployment) -> list[dict[str, Any]]:
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.decision.intent].append(case)
    rows = []
    for intent, group in sorted(groups.items(), key=lambda item: -len(item[1])):
        served = [c for c in group if c.decision.routes]
        routed, single = _routed_cost(r, served), _single_model_cost(baseline, served)
        rows.append(
            {
                "intent": intent,
                "prompts": len(group),
                "models": _model_counts(served),
                "cost_usd": usd(routed),
                "saving": _saving(routed, single),
            }
        )
    return rows


def _model_counts(cases: Sequence[Case]) -> dict[str, int]:
    return dict(Counter(case.decision.model or "" for case in cases).most_common())


def _show(report: dict[str, Any]) -> None:
    print_table(
        f"{many(report['prompts'], 'prompt')}, {report['blocked']} blocked, "
        f"{report['unroutable']} unroutable (neither is in the sums)",
        ("what", "cost", "saving"),
        [(x["what"], _dollars(x["cost_usd"]), _percent(x["saving"])) for x in report["rows"]],
    )
    print_table(
        "By intent",
        ("intent", "prompts", "models", "cost", "saving"),
        [
            (
                x["intent"],
                str(x["prompts"]),
                ", ".join(f"{m} {n}" for m, n in x["models"].items()) or "none",
                _dollars(x["cost_usd"]),
                _percent(x["saving"]),
            )
            for x in report["intents"]
        ],
    )
    spread = ", ".join(f"{_percent(v)} at {k}" for k, v in report["range"].items())
    out.print(
        f"outputs: {report['measured_outputs']} measured, {report['assumed_outputs']} assumed; "
        f"saving {spread}; the recipe promises {report['recipe_claim']}; "
        f"quality {_quality(report)}",
    )


def _quality(report: dict[str, Any]) -> str:
    quality = report["predicted_quality"]
    if quality is None:
        return str(report["quality"])
    share, low, high = (_percent(quality[name]) for name in ("share", "low", "high"))
    return f"predicted: {share} of {report['baseline']}'s (95 %: {low} to {high})"


def _dollars(amount: float | None) -> str:
    return "unknown" if amount is None else f"${amount:.6f}"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}%"
