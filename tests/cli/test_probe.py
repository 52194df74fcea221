"""``turnout probe``: a new model by a few results or by a guess, used from then on."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cli.run import run
from tests.success.worlds import MODELS, prompts, score, trained_predictor, write_table
from turnout import Router
from turnout.classifiers.success import by_probes, open_bundle, seal
from turnout.classifiers.success.artefact import card_of
from turnout.classifiers.success.bundle import POLICY, write_json
from turnout.evaluation.table_files import read_table
from turnout.features.prompt import row_text
from turnout.training.bundle import write_bundle


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle that does not know the coder."""
    tokens = np.full((240, 3), 100, np.int32)
    table = read_table(write_table(tmp_path, in_tokens=tokens, out_tokens=tokens))
    table = table.columns(["small", "large"])
    write_bundle(trained_predictor("small", "large"), [table], tmp_path / "bundle")
    return tmp_path / "bundle"


def picked_probes(bundle: Path, capfd: pytest.CaptureFixture[str]) -> Path:
    """Probes for the coder, picked by the command and filled in from the world."""
    rows = prompts(240)
    source, target = bundle.parent / "prompts.jsonl", bundle.parent / "probes.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    picked = run(
        capfd, "probe", "coder", "--bundle", str(bundle), "--prompts", str(source), "--count",
        "60", "--out", str(target),
    )  # fmt: skip
    assert picked.code == 0
    truth = dict(zip([row["id"] for row in rows], score(rows)[:, 1].tolist(), strict=True))
    probes = [json.loads(line) for line in target.read_text().splitlines()]
    assert len({probe["id"] for probe in probes}) == 60
    done = [{**probe, "score": truth[probe["id"]]} for probe in probes]
    target.write_text("".join(json.dumps(row) + "\n" for row in done))
    return target


def test_what_was_promised_without_it_is_promised_no_longer(
    bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The newcomer may be chosen where others were counted on; the card says who was added."""
    place = str(bundle)
    other = read_table(write_table(bundle.parent, "other", count=900, first=240))
    table = other.columns(["small", "large"])
    rows = [
        {"id": i, "prompt": p["prompt"], "score": dict(zip(table.models, s, strict=True))}
        | {"cost_usd": {"small": 0.001, "large": 0.01}}
        for i, (p, s) in enumerate(zip(table.prompts, table.score.tolist(), strict=True))
    ]
    source = bundle.parent / "pair.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ran = run(capfd, "calibrate", "--table", str(source), "--bundle", place, "--quality", "0.8")
    assert ran.code == 0, ran.err
    assert open_bundle(bundle).promises
    ran = run(capfd, "probe", "coder", "--bundle", place, "--prior", "0.6")
    assert "no longer hold" in ran.err
    assert not open_bundle(bundle).promises
    card = card_of(bundle)
    assert "240 prompts x 2 models" in card
    assert "coder, by a prior" in card


def test_added_by_probes_and_by_a_prior_it_is_predicted_evaluated_and_served(
    bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Both ways, one after the other; the hash tells the difference."""
    before = open_bundle(bundle)
    probes = picked_probes(bundle, capfd)
    added = run(
        capfd,
        "probe",
        "coder",
        "--bundle",
        str(bundle),
        "--outcomes",
        str(probes),
        "--cost",
        "0.004",
    )
    assert added.code == 0
    guessed = run(
        capfd, "probe", "other", "--bundle", str(bundle), "--prior", "0.3", "--price", "1:2"
    )
    assert guessed.code == 0
    after = open_bundle(bundle)
    assert after.digest != before.digest
    assert after.predictor.models == ("small", "large", "coder", "other")
    assert after.catalogue["other"]["mean_cost_usd"] == pytest.approx(0.0003)
    assert after.catalogue["coder"]["mean_cost_usd"] == 0.004
    assert after.catalogue["other"]["quality"] == pytest.approx(0.3)

    source, target = bundle.parent / "ask.jsonl", bundle.parent / "out.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in prompts(40, seed=4)))
    arguments = ("predict", "--prompts", str(source), "--bundle", str(bundle), "--out", str(target))
    assert run(capfd, *arguments).code == 0
    found = [json.loads(line)["success"] for line in target.read_text().splitlines()]
    mean = {model: np.mean([row[model] for row in found]) for model in found[0]}
    truth = read_table(bundle.parent / "world").score.mean(axis=0)
    assert mean["coder"] == pytest.approx(truth[MODELS.index("coder")], abs=0.12)
    assert mean["other"] == pytest.approx(0.3, abs=0.1)

    evaluated = run(
        capfd, "eval", "--table", str(bundle.parent / "world"), "--bundle", str(bundle), "--json"
    )
    assert evaluated.code == 0
    assert evaluated.json["bundle"] == after.digest
    models = {
        name: {"model": name, "provider": "p", "price": {"input": "1", "output": str(usd)}}
        for name, usd in {"small": 9, "large": 10, "coder": 1}.items()
    }
    config = {
        "providers": {"p": {"base_url": "http://127.0.0.1:1/v1", "api_key": "none"}},
        "models": models,
        "default": "small",
        "ledger": "off",
        "policy": {"name": "cheapest_above_quality", "quality": 0.05, "bundle": str(bundle)},
    }
    with Router.from_config(config, environ={}) as router:
        decision = router.route(str(prompts(2)[0]["prompt"]))
    assert decision.model == "coder"
    assert set(decision.prediction.success) == set(after.predictor.models)


def test_probes_of_an_outcome_table_are_its_prompts_alone(
    bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each prompt once, and none of what other models scored, cost and counted."""
    told = {"cost_usd": 0.5, "in_tokens": 9, "passed": True, "latency_ms": 3, "source": "mine"}
    source, target = bundle.parent / "table.jsonl", bundle.parent / "probes.jsonl"
    rows = [{**row, **told, "model": m, "score": 1} for row in prompts(30) for m in MODELS[:2]]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    picked = run(
        capfd, "probe", "coder", "--bundle", str(bundle), "--prompts", str(source),
        "--out", str(target),
    )  # fmt: skip
    assert picked.code == 0
    probes = [json.loads(line) for line in target.read_text().splitlines()]
    own = {"source": "mine", "model": "coder", "score": None}
    texts = {row["prompt"]: {**row, **own} for row in reversed(prompts(30))}
    assert probes == list(reversed(texts.values()))


def test_what_cannot_be_added_is_one_line(
    bundle: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A known model, no way named, too few results, an open score, an odd price."""
    few = tmp_path / "few.jsonl"
    few.write_text('{"prompt": "x", "score": 1}\n' * 3)
    unset = tmp_path / "unset.jsonl"
    unset.write_text('{"prompt": "x", "score": null}\n' * 12)
    cases: list[tuple[tuple[str, ...], str]] = [
        (("small", "--prior", "0.5"), "knows 'small' already"),
        (("new",), "give --prompts and --out"),
        (("new", "--outcomes", str(few), "--prior", "0.5"), "leave one out"),
        (("new", "--outcomes", str(few)), "give at least 10"),
        (("new", "--outcomes", str(unset)), "left out 12 probes without a score"),
        (("new", "--prior", "0.5", "--price", "cheap"), "give IN:OUT"),
        (("new", "--prior", "0.5", "--price", "1:nan"), "give IN:OUT"),
        (("new", "--prior", "0.5", "--price", "3e-7:1"), "looks like that of one token"),
        (("new", "--prior", "0.5", "--cost", "1e308"), "less than or equal to 1000000000000"),
        (("new", "--prior", "0.5", "--price", "1:1e308"), "give IN:OUT"),
        ((" ", "--prior", "0.5"), "the model's name is empty"),
    ]
    odd = {
        '{"prompt": "x", "score": 1, "model": "other"}': "a result of 'other', not of 'new'",
        '{"prompt": "x", "score": 1, "cost_usd": -1}': "cost_usd is -1; use a number from 0",
        '{"prompt": "x", "score": 1, "cost_usd": "$2"}': "cost_usd is '$2'; use a number",
        '{"id": "x", "score": 1}': "no prompt; keep each probe's query",
        '{"prompt": "x", "score": 2}': "score is 2; use 0 to 1",
        '{"prompt": "x"}': "no score; give score, passed, rating, judge",
    }
    twice = tmp_path / "twice.jsonl"
    twice.write_text("".join(f'{{"id": {i % 11}, "prompt": "x", "score": 1}}\n' for i in range(12)))
    cases.append((("new", "--outcomes", str(twice)), "line 12: duplicate outcome of new for id 0"))
    for number, (line, words) in enumerate(odd.items()):
        file = tmp_path / f"odd{number}.jsonl"
        file.write_text(f"{line}\n" * 12)
        cases.append((("new", "--outcomes", str(file)), f"line 1: {words}"))
    digest = open_bundle(bundle).digest
    for arguments, words in cases:
        ran = run(capfd, "probe", *arguments, "--bundle", str(bundle))
        assert ran.code == 2
        assert words in ran.err
    assert open_bundle(bundle).digest == digest


def test_what_a_result_does_not_count_is_unknown(
    bundle: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Zero tokens and a cost of NaN, under the names that a table takes; a number may be text."""
    counted = {"in_tokens": 200, "out_tokens": 50}
    told: list[dict[str, object]] = [{}, counted, {"in_tokens": 0, "out_tokens": 0}]
    rows = [{**prompt, "score": n % 2} for n, prompt in enumerate(prompts(12))]
    costs = {"first": (np.nan, 250e-6), "second": (0.5, 0.5), "third": ("0.25", 0.25)}
    for name, (cost, expected) in costs.items():
        source = tmp_path / f"{name}.jsonl"
        lines = [{**row, **told[n % 3], "cost_usd": cost} for n, row in enumerate(rows)]
        source.write_text("".join(json.dumps(line) + "\n" for line in lines))
        ran = run(
            capfd, "probe", name, "--bundle", str(bundle), "--outcomes", str(source),
            "--price", "1:1",
        )  # fmt: skip
        assert ran.code == 0, ran.err
        assert open_bundle(bundle).catalogue[name]["mean_cost_usd"] == pytest.approx(expected)


def test_results_are_read_as_a_table_is(
    bundle: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """On any of its scales, beside the empty score of the template; a missing one is left out."""
    told = {
        "scores": [{"score": n % 2} for n in range(12)],
        "tests": [{"score": None, "passed": bool(n % 2)} for n in range(12)],
        "stars": [{"rating": 1 + 4 * (n % 2)} for n in range(12)] + [{"rating": float("nan")}] * 3,
    }
    shown = []
    for name, outcomes in told.items():
        source = tmp_path / f"{name}.jsonl"
        rows = zip(prompts(len(outcomes)), outcomes, strict=True)
        source.write_text("".join(json.dumps({**row, **one}) + "\n" for row, one in rows))
        ran = run(capfd, "probe", "new", "--bundle", str(bundle), "--outcomes", str(source))
        assert ran.code == 0, ran.err
        assert ("left out 3 probes without a score" in ran.err) == (name == "stars")
        shown.append(ran.out.split(";")[0])
        assert run(capfd, "probe", "new", "--bundle", str(bundle), "--remove").code == 0
    assert shown[0] == shown[1] == shown[2]


def test_probes_are_picked_from_any_json(
    bundle: Path, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Half an emoji, as a log cut it off, and a number of more than 64 bits."""
    odd = {"id": 2**70, "prompt": "cut off \ud83d"}
    source, target = tmp_path / "odd.jsonl", tmp_path / "probes.jsonl"
    source.write_text(json.dumps(odd) + "\n")
    ran = run(
        capfd, "probe", "coder", "--bundle", str(bundle), "--prompts", str(source),
        "--out", str(target),
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert json.loads(target.read_text()) == {**odd, "model": "coder", "score": None}


@pytest.mark.parametrize("noise", [0.0, 1e-8, 1e-3])
def test_probes_that_the_known_models_cannot_tell_apart_tell_the_mean_alone(noise: float) -> None:
    """Else what is left of rounding would be taken for a slope, and the mean for 0 or 1."""
    rng = np.random.default_rng(0)
    success = 0.6 + noise * rng.standard_normal((50, 3))
    outcomes = (rng.random(50) < 0.7).astype(np.float32)
    found = by_probes("new", success.astype(np.float32), outcomes, ("a", "b", "c"))
    usual = found.mean_given({"a": 0.3, "b": 0.5, "c": 0.9})
    assert usual == pytest.approx(found.prior, abs=0.1)


def test_the_mean_of_hard_probes_is_not_taken_for_its_own(
    bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of the sums it gets half; on all prompts it is expected to do better, as the others do."""
    rows = [row for row in prompts(240) if row["task"] == "sums"]
    source = bundle.parent / "hard.jsonl"
    probes = [{**row, "score": n % 2} for n, row in enumerate(rows)]
    mixed = [{**row, "score": 1} for row in prompts(24) if row["task"] == "names"]
    source.write_text("".join(json.dumps(row) + "\n" for row in [*probes, *mixed]))
    added = run(capfd, "probe", "coder", "--bundle", str(bundle), "--outcomes", str(source))
    assert added.code == 0
    opened = open_bundle(bundle)
    quality, (newcomer,) = opened.catalogue["coder"]["quality"], opened.predictor.newcomers
    assert f"mean quality {quality:.3f}" in added.out
    assert newcomer.prior == pytest.approx((len(rows) / 2 + 12) / (len(rows) + 12), abs=0.01)
    assert quality > newcomer.prior + 0.1


def test_a_model_is_taken_out_and_may_come_back(
    bundle: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """One that was trained on or added; what stays is predicted as before, and the hash tells."""
    place, asked = str(bundle), [row_text(row) for row in prompts(20, seed=4)]
    for name in ("coder", "other"):
        assert run(capfd, "probe", name, "--bundle", place, "--prior", "0.4").code == 0
    before = open_bundle(bundle)
    policy = {**before.policy, "promises": [{"quality": 0.9, "threshold": 0.7}]}
    write_json(bundle / POLICY, policy)
    seal(bundle)
    ran = run(capfd, "probe", "large", "--bundle", place, "--remove")
    assert (ran.code, ran.out.split(";")[0]) == (0, "large: taken out")
    assert "no longer hold" in ran.err
    assert run(capfd, "probe", "other", "--bundle", place, "--remove").code == 0
    after = open_bundle(bundle)
    assert after.predictor.models == ("small", "coder")
    assert set(after.catalogue) == {"small", "coder"}
    assert (after.promises, after.digest == before.digest) == ((), False)
    assert card_of(bundle).endswith("Taken out: large.\n\nTaken out: other.\n")
    was, is_now = (b.predictor.predict_all(asked) for b in (before, after))
    assert np.array_equal(is_now, was[:, [before.predictor.models.index("small"), 2]])

    assert run(capfd, "probe", "large", "--bundle", place, "--prior", "0.7").code == 0
    again = open_bundle(bundle).predictor
    assert again.models == ("small", "coder", "large")
    assert again.uncertainty(asked[0])["large"] == 0.5
    assert list(again.predict(asked[0])) == list(again.models)


@pytest.mark.parametrize(
    ("model", "more", "said"),
    [
        ("larg", (), "bundle does not know 'larg'; did you mean 'large'?"),
        ("large", (), "bundle has small, large: 'large' cannot be taken out"),
        ("large", ("--prior", "0.5"), "--remove takes a model and --bundle alone"),
    ],
)
def test_what_cannot_be_taken_out(
    bundle: Path, model: str, more: tuple[str, ...], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """The bundle stays as it is."""
    before = open_bundle(bundle).digest
    ran = run(capfd, "probe", model, "--bundle", str(bundle), "--remove", *more)
    assert ran.code == 2
    assert said in ran.err
    assert open_bundle(bundle).digest == before


# A file of more than 8 KiB cannot be written, as on a disk that is full.
FULL = """
import resource, runpy
resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
runpy.run_module("turnout", run_name="__main__")
"""


def test_a_full_disk_leaves_the_bundle_as_it_was(bundle: Path) -> None:
    """It was cut, and the trained bundle lost."""
    before = {file.name: file.read_bytes() for file in bundle.iterdir()}
    asked = ["probe", "coder", "--bundle", str(bundle), "--prior", "0.5"]
    ran = subprocess.run(
        [sys.executable, "-c", FULL, *asked], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == f"turnout: {bundle}: cannot be written: File too large\n"
    assert {file.name: file.read_bytes() for file in bundle.iterdir()} == before
