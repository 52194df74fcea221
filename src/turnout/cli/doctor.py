"""``turnout doctor``: a few small calls to every configured model, and what they found."""

import asyncio
from collections.abc import Sequence
from typing import Any

import typer

from turnout.catalog import Deployment
from turnout.cli.options import ConfigOption, JsonOption, LedgerOption, router_of
from turnout.cli.show import out, print_json, print_table, waiting
from turnout.config import load
from turnout.core import format_usd, usd
from turnout.runtime import Router
from turnout.runtime.backends import without_key
from turnout.runtime.trial import Trial, try_deployment

_COLUMNS = ("name", "model", "answer", "stream", "tools", "JSON", "first token ms", "cost")
_LONGEST = 70

Found = Sequence[tuple[Deployment, Trial]]


def doctor(
    *, config: ConfigOption = None, ledger: LedgerOption = True, json: JsonOption = False
) -> None:
    """Make a few small calls to every chat model, and say what works.

    Four calls each: an answer, a stream, a tool, JSON. They use at most about 2,000 tokens per
    model. Exit code 1 if a model does not answer.
    """
    # A fallback must not answer for the model that is tried.
    alone = load(config).model_copy(update={"fallbacks": {}})
    r = router_of(alone, ledger=ledger)
    with waiting("calling every model"):
        found = asyncio.run(_examined(r))
    if json:
        print_json([_record(deployment, trial) for deployment, trial in found])
    else:
        _show(found)
    if not all(trial.serves for _, trial in found):
        raise typer.Exit(1)


async def _examined(r: Router) -> Found:
    async with r:
        lacking = without_key(r.parts.catalog)
        models = list(r.parts.means.rules.catalog.deployments.values())
        trials = [
            Trial(answer=str(lacking[d.id])) if d.id in lacking else await try_deployment(r, d)
            for d in models
        ]
    return list(zip(models, trials, strict=True))


def _show(found: Found) -> None:
    print_table("Doctor", _COLUMNS, [_row(deployment, trial) for deployment, trial in found])
    for deployment, trial in found:
        told = [f"{what}: {said}" for what, said in _tried(trial) if len(said) > _LONGEST]
        for line in (*told, *trial.remarks):
            out.print(f"{deployment.id}: {line}")


def _tried(trial: Trial) -> list[tuple[str, str]]:
    return [
        ("answer", trial.answer),
        ("stream", trial.stream),
        ("tools", trial.tools),
        ("JSON", trial.json),
    ]


def _row(deployment: Deployment, trial: Trial) -> tuple[str, ...]:
    said = (text if len(text) <= _LONGEST else "see below" for _, text in _tried(trial))
    first = "" if trial.first_token_ms is None else f"{trial.first_token_ms:.0f}"
    return (deployment.id, deployment.model, *said, first, format_usd(trial.cost_pico_usd))


def _record(deployment: Deployment, trial: Trial) -> dict[str, Any]:
    return {
        "name": deployment.id,
        "model": deployment.model,
        "provider": deployment.provider.name,
        "serves": trial.serves,
        **{what.lower(): said for what, said in _tried(trial)},
        "first_token_ms": trial.first_token_ms,
        "answer_ms": trial.answer_ms,
        "cost_usd": usd(trial.cost_pico_usd),
        "remarks": list(trial.remarks),
    }
