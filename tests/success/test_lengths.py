"""How long answers will be: learned from token counts, and counted in expected costs."""

from pathlib import Path

import numpy as np
import pytest

from tests.success.worlds import MODELS, prompts, trained_predictor, write_table
from turnout import Router
from turnout.classifiers.success import open_bundle
from turnout.classifiers.success.lengths import LEVELS
from turnout.evaluation.outcome_table import OutcomeTable
from turnout.evaluation.table_files import read_table
from turnout.features.prompt import row_text
from turnout.ledger.records import pack, unpack
from turnout.training.bundle import write_bundle
from turnout.training.lengths import fit_lengths

# Sums are answered at length, names in few words, and the large model talks most.
LONG, SHORT = 300, 20


def tokens(count: int = 240, seed: int = 3) -> np.ndarray:
    """Tokens of every answer, log-normal around the kind's and the model's usual length."""
    usual = np.array([[LONG if n % 2 else SHORT] for n in range(count)]) * [1.0, 1.0, 3.0]
    noise = np.random.default_rng(seed).normal(0, 0.3, usual.shape)
    return np.maximum(1, (usual * np.exp(noise)).round()).astype(np.int32)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> OutcomeTable:
    """The small world with its answers counted."""
    folder = tmp_path_factory.mktemp("lengths")
    return read_table(write_table(folder, in_tokens=tokens() * 0 + 50, out_tokens=tokens()))


def test_quantiles_hold_as_often_as_they_say(table: OutcomeTable) -> None:
    """On fresh answers of the same world, each level is reached about as often as its name."""
    lengths = fit_lengths([table])
    assert lengths is not None
    fresh = tokens(seed=11)
    for level in (0.25, 0.5, 0.9):
        guesses = [list(lengths.tokens(row_text(r), level).values()) for r in table.prompts]
        assert (fresh <= np.array(guesses)).mean() == pytest.approx(level, abs=0.07)


def test_long_answers_are_predicted_for_prompts_with_long_answers(table: OutcomeTable) -> None:
    """Kind of prompt, model and level all count; a caller's cap bounds them."""
    lengths = fit_lengths([table])
    assert lengths is not None
    name, total = (row_text(row) for row in prompts(2, seed=9))
    assert lengths.tokens(total, 0.5)["small"] > 5 * lengths.tokens(name, 0.5)["small"]
    assert lengths.tokens(total, 0.5)["large"] > 2 * lengths.tokens(total, 0.5)["small"]
    by_level = [lengths.tokens(total, level)["small"] for level in LEVELS]
    assert by_level == sorted(by_level)
    assert max(lengths.tokens(total, 0.9, cap=7).values()) == 7


def test_answers_without_token_counts_are_not_learned_from(tmp_path: Path) -> None:
    """A zero is unknown: without counts there are no lengths, with few the model is left out."""
    assert fit_lengths([read_table(write_table(tmp_path))]) is None
    some = tokens()
    some[5:, 1] = 0
    table = read_table(write_table(tmp_path, "some", in_tokens=some, out_tokens=some))
    lengths = fit_lengths([table])
    assert lengths is not None
    assert lengths.models == ("small", "large")


def test_expected_costs_count_the_predicted_length(table: OutcomeTable, tmp_path: Path) -> None:
    """Served from a bundle: a dearer quantile costs more, and the record makes it again."""
    write_bundle(trained_predictor(), [table], tmp_path / "bundle")
    assert open_bundle(tmp_path / "bundle").lengths is not None
    models = {
        name: {"model": name, "provider": "p", "price": {"input": "1", "output": "10"}}
        for name in MODELS
    }
    found = []
    for quantile in (0.5, 0.9):
        config = {
            "providers": {"p": {"base_url": "http://127.0.0.1:1/v1", "api_key": "none"}},
            "models": models,
            "default": "small",
            "ledger": "off",
            "policy": {
                "name": "cheapest_above_quality",
                "bundle": str(tmp_path / "bundle"),
                "output_quantile": quantile,
            },
        }
        with Router.from_config(config, environ={}) as router:
            request = router.request(str(prompts(2, seed=9)[1]["prompt"]))
            found.append(router.route(request))
    costs = [{c.model: c.cost_pico_usd or 0 for c in decision.candidates} for decision in found]
    assert costs[1]["small"] > costs[0]["small"]
    assert costs[0]["large"] > 2 * costs[0]["small"]
    _, again = unpack(pack(request, found[0]))
    assert again.features == found[0].features
    assert pack(request, again) == pack(request, found[0])


def test_a_bundle_keeps_its_configuration_without_keys(table: OutcomeTable, tmp_path: Path) -> None:
    """Configuration and prices are part of the hash; a key never is in the folder."""
    from turnout.config import load_mapping

    config = load_mapping(
        {
            "providers": {"p": {"base_url": "http://127.0.0.1:1/v1", "api_key": "sk-secret"}},
            "models": {
                "small": {"model": "small", "provider": "p", "price": {"input": "1", "output": "2"}}
            },
            "default": "small",
        },
        {},
    )
    plain = write_bundle(trained_predictor(), [table], tmp_path / "plain")
    full = write_bundle(trained_predictor(), [table], tmp_path / "full", config=config)
    assert full != plain
    names = {path.name for path in (tmp_path / "full").iterdir()}
    assert {"config.json", "prices.json", "catalogue.json", "policy.json", "success.zip"} <= names
    for path in (tmp_path / "full").glob("*.json"):
        assert "sk-secret" not in path.read_text()
    assert open_bundle(tmp_path / "full").digest == full
    # Trained again without one, the old one is no part of it.
    assert write_bundle(trained_predictor(), [table], tmp_path / "full") == plain
