"""``turnout eval --config``: a table under what a configuration serves."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.cli.run import run
from tests.success.worlds import unpriced_bundle, write_table
from turnout import Router
from turnout.cli.as_served import _body
from turnout.evaluation import read_table

NAMES = {"fast": "small", "mid": "coder", "strong": "large"}
BIRDS = {"name": "birds", "parameters": {"type": "object"}}


def write_config(folder: Path, **more: Any) -> Path:
    """A configuration of the world's models, under names of its own."""
    models = {
        name: {"model": model, "provider": "p", "price": {"input": 1, "output": usd}}
        for (name, model), usd in zip(NAMES.items(), (1, 4, 10), strict=True)
    }
    settings = {
        "providers": {"p": {"base_url": "http://127.0.0.1:1/v1", "api_key": "none"}},
        "models": models,
        "default": "fast",
        "ledger": "off",
        **more,
    }
    place = folder / "turnout.yaml"
    place.write_text(yaml.safe_dump(settings))
    return place


def run_served(
    table: Path, config: Path, capfd: pytest.CaptureFixture[str]
) -> tuple[dict[str, Any], list[dict[str, Any]], str]:
    """The row of what is served, its picks, and standard error."""
    target = config.parent / "picks.jsonl"
    told = ("--table", str(table), "--config", str(config), "--picks", str(target), "--json")
    ran = run(capfd, "eval", *told, "--bundle", unpriced_bundle(config.parent))
    assert ran.code == 0, ran.err
    (row,) = [row for row in ran.json["rows"] if row["name"] == "served"]
    picks = [json.loads(line) for line in target.read_text().splitlines()]
    return row, [pick for pick in picks if pick["policy"] == "served"], ran.err


@pytest.mark.parametrize(
    "policy",
    [
        {"name": "intent_map"},
        {
            "name": "rules",
            "rules": [{"name": "sums", "keywords": ["total"], "model": "strong"}],
            "otherwise": "cheapest",
        },
    ],
)
def test_each_prompt_goes_where_the_router_sends_it(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], policy: dict[str, Any]
) -> None:
    """By names, intents and rules of the configuration; cost and quality are the table's."""
    prefix = write_table(tmp_path, count=80)
    intents = {"reasoning": "strong", "simple_qa": "mid", "creative": "fast", "unsafe": "block"}
    config = write_config(tmp_path, policy=policy, intents=intents)
    row, picks, _ = run_served(prefix, config, capfd)
    table = read_table(prefix)
    with Router.from_file(config, environ={}) as router:
        wanted = [router.route(str(prompt["prompt"])).model for prompt in table.prompts]
    assert len(set(wanted)) > 1
    assert [pick["model"] for pick in picks] == wanted
    columns = [table.models.index(str(model)) for model in wanted]
    assert row["quality"]["value"] == pytest.approx(table.score[np.arange(80), columns].mean())
    assert table.cost_usd is not None
    paid = table.cost_usd[np.arange(80), columns].mean()
    assert row["usd_per_1000"]["value"] == pytest.approx(1000 * paid)


def test_what_is_blocked_or_refused_has_no_answer(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither is left out; both are told."""
    score = np.ones((40, 2))
    score[:3, 0] = 0
    rows = [
        {"id": n, "prompt": f"Name a bird ({n}).", "score": {"small": s[0], "large": s[1]}}
        | {"cost_usd": {"small": 0.001, "large": 0.01}}
        for n, s in enumerate(score.tolist())
    ]
    rows[7]["prompt"] = ""
    rows[9]["functions"] = json.dumps(BIRDS)
    table = tmp_path / "t.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = write_config(tmp_path, policy="strongest", safety={"threshold": 1e-9})
    settings = yaml.safe_load(config.read_text())
    del settings["models"]["mid"]
    config.write_text(yaml.safe_dump(settings))
    row, picks, told = run_served(table, config, capfd)
    assert row["quality"]["value"] == 0
    assert {pick["model"] for pick in picks} == {None}
    assert "served: 39 prompts blocked as unsafe" in told
    assert (
        "served: 1 prompt refused: no answer; the first is row 8 (7): the prompt is empty" in told
    )
    settings["safety"] = {}
    config.write_text(yaml.safe_dump(settings))
    row, picks, told = run_served(table, config, capfd)
    assert row["quality"]["value"] == pytest.approx(39 / 40)
    assert picks[9]["model"] == "large"


@pytest.mark.parametrize(
    "functions", [BIRDS, [BIRDS], json.dumps(BIRDS), {"type": "function", "function": BIRDS}]
)
def test_the_tools_of_a_row_are_sent_as_those_of_a_request(functions: Any) -> None:
    """One or several, as text or not, bare or in the form of OpenAI's ``tools``."""
    body = _body({"prompt": "Name a bird.", "functions": functions})
    assert body["tools"] == [{"type": "function", "function": BIRDS}]


def test_a_model_without_outcomes_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What it would have answered is not made up."""
    table = read_table(write_table(tmp_path)).columns(["small", "large"])
    prefix = write_table(tmp_path, models=np.array(table.models), score=table.score, cost_usd=None)
    ran = run(capfd, "eval", "--table", str(prefix), "--config", str(write_config(tmp_path)))
    assert ran.code == 2
    assert "has no outcomes with costs of coder, which" in ran.err
