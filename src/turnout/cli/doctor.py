"""``turnout doctor``: a few small calls to every configured model, and what they found."""

import asyncio
from collections.abc import Sequence
from typing import Any

import typer

from turnout.catalog import Deployment
from turnout.cli.options import ConfigOption, JsonOption, LedgerOption, router_of
from turnout.cli.show import out, print_json, print_table, status_line
from turnout.config import load
from turnout.core import format_usd, usd
from turnout.runtime import Router
from turnout.runtime.backends import without_key
from turnout.runtime.trial import Trial, try_deployment

_COLUMNS = ("name", "model", "answer", "stream", "tools", "JSON", "first token ms", "cost")
_LONGEST = 70

Trials = Sequence[tuple[Deployment, Trial]]


def doctor(
    *, config: ConfigOption = None, ledger: LedgerOption = True, json: JsonOption = False
) -> None:
    """Make a few small calls to every chat model, and say what works.

    Four calls each: an answer, a stream, a tool, JSON. They use at most about 2,000 tokens per
    model. Exit code 1 if a model does not answer.
    """
    # A fallback must not answer for the model that is tried.
    settings = load(config).model_copy(update={"fallbacks": {}})
    r = router_of(settings, ledger=ledger)
    with status_line("calling every model"):
        trials = asyncio.run(_try_models(r))
    if json:
        print_json([_record(deployment, trial) for deployment, trial in trials])
    else:
        _show(trials)
    if not all(trial.serves for _, trial in trials):
        raise typer.Exit(1)


async def _try_models(r: Router) -> Trials:
    async with r:
        missing_keys = without_key(r.parts.catalog)
        models = list(r.parts.means.rules.catalog.deployments.values())
        trials = [
            Trial(answer=str(missing_keys[d.id]))
            if d.id in missing_keys
            else await try_deployment(r, d)
            for d in models
        ]
    return list(zip(models, trials, strict=True))


def _show(trials: Trials) -> None:
    print_table("Doctor", _COLUMNS, [_row(deployment, trial) for deployment, trial in trials])
    for deployment, trial in trials:
        long_results = [f"{what}: {text}" for what, text in _results(trial) if len(text) > _LONGEST]
        for line in (*long_results, *trial.remarks):
            out.print(f"{deployment.id}: {line}")


def _results(trial: Trial) -> list[tuple[str, str]]:
    return [
        ("answer", trial.answer),
        ("stream", trial.stream),
        ("tools", trial.tools),
        ("JSON", trial.json),
    ]


def _row(deployment: Deployment, trial: Trial) -> tuple[str, ...]:
    cells = (text if len(text) <= _LONGEST else "see below" for _, text in _results(trial))
    first = "" if trial.first_token_ms is None else f"{trial.first_token_ms:.0f}"
    return (deployment.id, deployment.model, *cells, first, format_usd(trial.cost_pico_usd))


def _record(deployment: Deployment, trial: Trial) -> dict[str, Any]:
    return {
        "name": deployment.id,
        "model": deployment.model,
        "provider": deployment.provider.name,
        "serves": trial.serves,
        **{what.lower(): text for what, text in _results(trial)},
        "first_token_ms": trial.first_token_ms,
        "answer_ms": trial.answer_ms,
        "cost_usd": usd(trial.cost_pico_usd),
        "remarks": list(trial.remarks),
    }
