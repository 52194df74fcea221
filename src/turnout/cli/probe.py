"""``turnout probe``: adds a model to a bundle by a few results or a guess, or takes one out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from math import isnan
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from turnout.cli.files import check_different_files, write_whole
from turnout.cli.jsonl import json_line
from turnout.cli.options import refuse_given
from turnout.cli.show import err, out
from turnout.core import ConfigError
from turnout.core.money import is_per_token
from turnout.core.nearest import did_you_mean
from turnout.core.plural import many
from turnout.evaluation.table_checks import MOST

if TYPE_CHECKING:
    from turnout.classifiers.success import Bundle, Newcomer, SuccessPredictor
    from turnout.features.prompt import PromptText

_MIN_MODELS = 2  # so few models leave something to choose between
# What a result may count, by either of its names in an outcome table.
_TOKENS = (("input_tokens", "in_tokens"), ("output_tokens", "out_tokens"))
_AMOUNTS = ("cost_usd", *chain(*_TOKENS))


def probe(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="The model's name.")],
    *,
    bundle: Annotated[Path, typer.Option(help="The folder that turnout train success wrote.")],
    prompts: Annotated[
        Path | None, typer.Option(help="JSONL of prompts to pick probes from.")
    ] = None,
    count: Annotated[int, typer.Option(min=10, max=1000, help="How many probes.")] = 100,
    outcomes: Annotated[
        Path | None, typer.Option(help="JSONL of {prompt, score}: the probes' results.")
    ] = None,
    prior: Annotated[
        float | None, typer.Option(min=0, max=1, help="Mean quality, where there are no results.")
    ] = None,
    mean_cost_usd: Annotated[
        float | None, typer.Option("--cost", min=0, max=MOST, help="Mean USD a call, where known.")
    ] = None,
    price: Annotated[
        str | None, typer.Option(help="IN:OUT in USD per million tokens, instead of --cost.")
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--out", help="Where the probes are written.")
    ] = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take the model out of the bundle instead.")
    ] = False,
) -> None:
    """Add a model to a bundle by a few results, or take one out.

    First pick the most informative prompts, then add the model by their results, or by a prior.
    """
    from turnout.classifiers.success import open_bundle

    if not model.strip():
        raise ConfigError("the model's name is empty; give the name that its provider uses")
    loaded = open_bundle(bundle)
    if remove:
        refuse_given(
            context, "prompts", "count", "outcomes", "prior", "mean_cost_usd", "price", "target",
            because="--remove takes a model and --bundle alone; leave it out",
        )  # fmt: skip
        _remove(loaded, model)
        return
    if model in loaded.predictor.models:
        raise ConfigError(
            f"{bundle} knows {model!r} already; to renew it take it out first, with --remove, or "
            "train again"
        )
    if outcomes is not None and prior is not None:
        raise ConfigError("--outcomes and --prior cannot be used together; leave one out")
    if outcomes is not None or prior is not None:
        refuse_given(
            context, "prompts", "count", "target",
            because="only to pick probes, without --outcomes and --prior; leave it out",
        )  # fmt: skip
        rates = None if price is None else _price(price)
        _add(loaded, model, outcomes, prior, mean_cost_usd, rates)
    elif prompts is not None and target is not None:
        refuse_given(
            context, "mean_cost_usd", "price",
            because="only to add the model, with --outcomes or --prior; leave it out",
        )  # fmt: skip
        check_different_files(prompts, target, "probes")
        _pick(loaded, model, prompts, count, target)
    else:
        raise ConfigError(
            "give --prompts and --out to pick probes, --outcomes to add the model by their "
            "results, or --prior to add it by a guess"
        )


def _pick(bundle: "Bundle", model: str, prompts: Path, count: int, target: Path) -> None:
    from turnout.evaluation.row_files import read_jsonl
    from turnout.evaluation.table_rows import COLUMNS, FIELDS
    from turnout.features.prompt import row_text
    from turnout.training.probe import informative_rows

    rows: dict[PromptText, dict[str, Any]] = {}
    for row in read_jsonl(prompts):
        rows.setdefault(row_text(row), row)  # a table has a prompt once for each model
    if not rows:
        raise ConfigError(f"{prompts}: no prompts to pick from")
    texts, others = list(rows), COLUMNS.difference(FIELDS)
    chosen = [
        rows[texts[i]] for i in sorted(informative_rows(bundle.predictor.predict_all(texts), count))
    ]
    # What another model scored and cost is no result of this one.
    kept = [{name: row[name] for name in row if name not in others} for row in chosen]
    lines = [json_line({**row, "model": model, "score": None}) for row in kept]
    write_whole(target, b"".join(lines))
    out.print(f"{target}: {len(lines)} probes; fill in score and pass it as --outcomes")


def _price(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(":"))
    except ValueError:
        low = high = -1.0
    if not all(0 <= usd <= MOST for usd in (low, high)):
        raise ConfigError(f"--price {text!r}: give IN:OUT in USD per million tokens, as in 0.3:1.2")
    if is_per_token(low) or is_per_token(high):
        raise ConfigError(f"--price {text}: looks like that of one token; give it for a million")
    return low, high


def _add(
    bundle: "Bundle",
    model: str,
    outcomes: Path | None,
    prior: float | None,
    cost: float | None,
    price: tuple[float, float] | None,
) -> None:
    if outcomes is not None:
        rows = _read(outcomes, model)
        newcomer = _from_outcomes(bundle, model, rows)
    else:
        rows = []
        newcomer = _from_prior(bundle, model, float(prior or 0.0))
    quality = newcomer.mean_given(_qualities(bundle))
    record: dict[str, Any] = {"quality": quality}
    if price is not None:
        record["price_per_mtok"] = list(price)
    cost = _mean_cost(bundle, rows, price) if cost is None else cost
    if cost is not None:
        record["mean_cost_usd"] = cost
    source = f"{len(rows)} probes" if rows else "a prior"
    predictor = bundle.predictor
    digest = _store_bundle(
        bundle,
        replace(predictor, newcomers=(*predictor.newcomers, newcomer)),
        {**bundle.catalogue, model: record},
        f"Added without training: {model}, by {source}.",
    )
    out.print(f"{model}: added with mean quality {quality:.3f}; {digest[:19]}")
    if bundle.promises:
        err.print("turnout: promises made without it no longer hold: run turnout calibrate again")


def _remove(bundle: "Bundle", model: str) -> None:
    known = bundle.predictor.models
    if model not in known:
        raise ConfigError(f"{bundle.folder} does not know {model!r}; {did_you_mean(model, known)}")
    if len(known) <= _MIN_MODELS or bundle.predictor.trained == (model,):
        raise ConfigError(
            f"{bundle.folder} has {', '.join(known)}: {model!r} cannot be taken out, since "
            "too few models or no trained one would be left; train again on a table without it"
        )
    catalogue = {name: facts for name, facts in bundle.catalogue.items() if name != model}
    digest = _store_bundle(
        bundle, bundle.predictor.without_model(model), catalogue, f"Taken out: {model}."
    )
    out.print(f"{model}: taken out; {digest[:19]}")
    if bundle.promises:
        err.print("turnout: promises made with it no longer hold: run turnout calibrate again")


def _store_bundle(
    bundle: "Bundle",
    predictor: "SuccessPredictor",
    catalogue: Mapping[str, Mapping[str, Any]],
    note: str,
) -> str:
    """Stores the predictor in the bundle, without earlier promises. Returns the new digest."""
    from turnout.classifiers.success import save
    from turnout.classifiers.success.artefact import card_of
    from turnout.classifiers.success.bundle import CATALOGUE, POLICY, replace_parts, write_json

    card = f"{card_of(bundle.folder)}\n{note}\n"
    kept = {name: value for name, value in bundle.policy.items() if name != "promises"}

    def write(new: Path) -> None:
        save(predictor, new, card=card)
        write_json(new / CATALOGUE, catalogue)
        write_json(new / POLICY, kept)

    return replace_parts(bundle.folder, write)


def _from_prior(bundle: "Bundle", model: str, prior: float) -> "Newcomer":
    from turnout.classifiers.success import by_prior

    return by_prior(model, prior, _qualities(bundle))


def _qualities(bundle: "Bundle") -> dict[str, float]:
    """The mean quality of each model that was trained on, if it is known."""
    usual = dict(bundle.mean_qualities)
    return {model: usual[model] for model in bundle.predictor.trained if model in usual}


def _mean_cost(
    bundle: "Bundle", rows: Sequence[Mapping[str, Any]], price: tuple[float, float] | None
) -> float | None:
    """Mean USD per call: of the probes, else by the price of their tokens, else of usual ones."""
    costs = _numbers(rows, "cost_usd")
    if costs:
        return fmean(costs)
    if price is None:
        return None
    usual = list(bundle.catalogue.values())
    counts = [_counts(rows, names) or _counts(usual, names) for names in _TOKENS]
    if not all(counts):
        return None
    return sum(fmean(count) * usd for count, usd in zip(counts, price, strict=True)) / 1e6


def _counts(rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> list[float]:
    """The tokens that were counted; 0 is unknown."""
    return [number for name in names for number in _numbers(rows, name) if number]


def _numbers(rows: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    values = (row.get(name) for row in rows)
    return [float(value) for value in values if isinstance(value, int | float) and not isnan(value)]


def _read(path: Path, model: str) -> list[dict[str, Any]]:
    """The results, each with its score in 0..1; those without one are left out, with a note."""
    from turnout.evaluation.row_files import rows_by_line
    from turnout.evaluation.table_rows import amount_in, score_in

    rows, unscored, seen = [], 0, set[str]()
    for number, row in rows_by_line(path):
        where = f"{path}, line {number}"
        if problem := _row_problem(row, model):
            raise ConfigError(f"{where}: {problem}")
        score = score_in(where, row)
        told = {name: row[name] for name in _AMOUNTS if row.get(name) is not None}
        amounts = {name: amount_in(where, name, value) for name, value in told.items()}
        if score is None:
            unscored += 1
            continue
        if (key := row.get("id")) is not None:
            if str(key) in seen:
                raise ConfigError(
                    f"{where}: duplicate outcome of {model} for id {key!r}; give every prompt its "
                    "own id and one outcome"
                )
            seen.add(str(key))
        rows.append({**row, **amounts, "score": score})
    if unscored:
        err.print(f"turnout: {path}: left out {many(unscored, 'probe')} without a score")
    if len(rows) < 10:
        found = many(len(rows), "result")
        raise ConfigError(f"{path}: {found}; give at least 10, better 50 to 200")
    return rows


def _row_problem(row: Mapping[str, Any], model: str) -> str:
    """Why the result cannot be used; empty if it can."""
    from turnout.features.prompt import row_text

    if row.get("model", model) != model:
        return f"a result of {row['model']!r}, not of {model!r}; give the results of one model"
    if not row_text(row).text:
        return "no prompt; keep each probe's query, prompt or messages beside its score"
    return ""


def _from_outcomes(bundle: "Bundle", model: str, rows: Sequence[Mapping[str, Any]]) -> "Newcomer":
    from turnout.classifiers.success import by_probes
    from turnout.features.prompt import row_text

    predictor, trained = bundle.predictor, bundle.predictor.trained
    success = predictor.predict_all([row_text(row) for row in rows])[:, : len(trained)]
    scores = np.array([row["score"] for row in rows], np.float32)
    return by_probes(model, success, scores, trained)
