"""``turnout calibrate --table``: fits a bundle to the user's outcomes, and stores the promise."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from turnout.cli.show import err, out, print_json, status_line
from turnout.core import ConfigError
from turnout.core.plural import some_of

if TYPE_CHECKING:
    from turnout.classifiers.success import Bundle
    from turnout.core.arrays import Doubles
    from turnout.evaluation.outcome_table import OutcomeTable
    from turnout.training.calibrate import Calibrated, Margin

_MOST_SEEN_SHARE = 0.05


def calibrate_quality(
    table: Path,
    bundle: Path,
    *,
    quality: float,
    lost: float | None,
    confidence: float,
    steady: float,
    json: bool,
) -> None:
    """Find the threshold that keeps a promised quality on the table, and store it in the bundle.

    Leaves with exit code 1 when the table is too small for the promise. Raises ConfigError.
    """
    from turnout.classifiers.success.bundle import open_bundle
    from turnout.evaluation.table_files import read_table
    from turnout.training.calibrate import calibrate as fit

    outcomes, loaded = read_table(table).answered(), open_bundle(bundle)
    costs = _costs(outcomes, loaded)
    if not 0 <= steady <= 1:
        raise ConfigError(f"steady is {steady:g}; use a margin between 0 and 1")
    success, strange = _out_of_sample(outcomes, loaded)
    found = fit(
        outcomes,
        success,
        costs,
        quality=quality,
        lost=lost,
        confidence=confidence,
        margin=_margin(outcomes, loaded, steady * strange) if steady else None,
    )
    targets = {"quality": quality if lost is None else found.low, "lost": lost, "steady": steady}
    details = {"confidence": confidence, "table": outcomes.name}
    digest = _store_promise(loaded, found, {**targets, **details}) if found.promised else ""
    if json:
        print_json(asdict(found))
    else:
        out.print(
            _promise(found, confidence, digest)
            if found.promised
            else _no_promise(found, quality, lost, confidence)
        )
    if not found.promised:
        raise typer.Exit(1)
    if others := [model for model in loaded.predictor.models if model not in outcomes.models]:
        err.print(
            f"turnout: the promise holds for a choice among the table's models, without "
            f"{some_of(others)}: serve those alone, or calibrate on a table of all"
        )


def _costs(table: "OutcomeTable", bundle: "Bundle") -> dict[str, float]:
    """Mean USD per call of each model whose cost the bundle, or else the table, has.

    Raises ConfigError if no cost is known.
    """
    from turnout.evaluation.evaluating import expected_values

    costs = expected_values(table, table.cost_usd, bundle.means("mean_cost_usd"))
    if not costs:
        raise ConfigError(
            f"table {table.name} and {bundle.folder} have no prices or costs: nothing can be "
            f"saved; add cost_usd, or tokens and price_per_mtok in {table.name}.meta.json"
        )
    return costs


def _store_promise(bundle: "Bundle", found: "Calibrated", promise: Mapping[str, Any]) -> str:
    """Stores the promise in the bundle. Returns the bundle's new digest."""
    from turnout.classifiers.success.bundle import POLICY, replace_parts, write_json

    new = {**promise, "threshold": found.threshold, "found": asdict(found)}
    kept = [old for old in bundle.policy.get("promises", ()) if not _replaces(old, new)]
    policy = {**bundle.policy, "promises": [*kept, new]}
    return replace_parts(bundle.folder, lambda place: write_json(place / POLICY, policy))


def _promise(found: "Calibrated", confidence: float, digest: str) -> str:
    return (
        f"threshold {found.threshold:g}: {found.quality:.1%} of the best single model's "
        f"quality (at least {found.low:.1%} with {confidence:.0%} confidence), "
        f"{found.lost:.1%} of requests lose (at most {found.lost_high:.1%}), "
        f"{_saving_text(found.saving)}; {digest[:19]}"
    )


def _no_promise(found: "Calibrated", quality: float, lost: float | None, confidence: float) -> str:
    if not found.rows:
        return (
            "nothing can be promised: no prompt was answered by both the best single model and the "
            "one that would be chosen; nothing changed: put the same prompts to several models"
        )
    target = f"{quality:.1%} quality" if lost is None else f"at most {lost:.1%} lost"
    missed = found.quality < quality if lost is None else found.lost > lost
    return (
        f"{found.rows} rows {'do not reach' if missed else 'are too few to promise'} {target} "
        f"with {confidence:.0%} confidence (strictest: quality {found.quality:.1%}, at least "
        f"{found.low:.1%}; lost {found.lost:.1%}, at most {found.lost_high:.1%}); nothing "
        f"changed: {'ask for less' if missed else 'add rows, or ask for less'}"
    )


def _saving_text(share: float) -> str:
    return "saving unknown (no price, or a free model)" if np.isnan(share) else f"{share:.1%} saved"


def _replaces(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether the new promise replaces the old one."""
    if new["steady"] != old.get("steady", 0.0):
        return False
    if new["lost"] is None:
        return bool(old.get("lost") is None and old.get("quality") == new["quality"])
    return bool(old.get("lost") == new["lost"])


def _margin(table: "OutcomeTable", bundle: "Bundle", wide: "Doubles") -> "Margin":
    """What the policy will know of the table's models when it serves the bundle."""
    from turnout.training.calibrate import Margin

    usual, means = dict(bundle.mean_qualities), np.nanmean(table.score, axis=0).tolist()
    known = [usual.get(model, mean) for model, mean in zip(table.models, means, strict=True)]
    return Margin(means=np.array(known), margins=wide)


def _out_of_sample(table: "OutcomeTable", bundle: "Bundle") -> tuple["Doubles", "Doubles"]:
    """Predictions and strangeness of the table by predictors that did not see its prompts."""
    from turnout.evaluation.evaluating import columns_of
    from turnout.features.prompt import row_text
    from turnout.training.crossfit import grouped_folds_with_strangeness

    prompts = [row_text(row) for row in table.prompts]
    columns, predictor = columns_of(table, bundle), bundle.predictor
    if predictor.trained_share(prompts) > _MOST_SEEN_SHARE:
        with status_line("training on five grouped folds"):
            return grouped_folds_with_strangeness([table])[0]
    success, strange = predictor.predict_all_with_strangeness(prompts)
    return success[:, columns].astype(np.float64), strange.astype(np.float64)
