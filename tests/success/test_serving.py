"""A bundle in the configuration decides live requests, and its hash is in every decision."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.cli.run import run
from tests.success.worlds import MODELS, trained_predictor, write_table
from turnout import ConfigError, Constraints, Router
from turnout.classifiers.success import open_bundle
from turnout.core import Request
from turnout.evaluation.table_files import read_table
from turnout.ledger.records import pack, unpack
from turnout.testing import serving
from turnout.training.bundle import write_bundle

SUM = "Calculate the total of 12, 400, 93, 777, 51, 38, 640, 215 and then divide it by 9."
NAME = "Name a well known bird that starts with letter k (9)."
ODD = "```python\nclass Tree:\n    def walk(self) -> None: ...\n```\nWhy does walk() never return?"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration of the small world's models that uses its bundle."""
    folder = tmp_path_factory.mktemp("serving")
    table = read_table(write_table(folder))
    write_bundle(trained_predictor(), [table], folder / "bundle")
    models = "".join(
        f"  {name}: {{model: {name}, provider: p, price: {{input: {usd}, output: {usd}}}}}\n"
        for name, usd in zip(MODELS, (1, 4, 10), strict=True)
    )
    file = folder / "turnout.yaml"
    file.write_text(
        "providers: {p: {base_url: 'http://127.0.0.1:1/v1', api_key: none}}\n"
        f"models:\n{models}default: small\n"
        f"policy: {{name: cheapest_above_quality, quality: 0.85, bundle: '{folder}/bundle'}}\n"
    )
    return file


def test_a_hard_prompt_goes_up_and_an_easy_one_does_not(config: Path) -> None:
    """The same prompts that the table tells apart are told apart when served."""
    with Router.from_file(config) as router:
        hard, easy = router.route(SUM), router.route(NAME)
    assert (hard.model, easy.model) == ("large", "small")
    assert hard.bundle == easy.bundle
    assert hard.prediction.success["large"] > hard.prediction.success["small"]


def test_a_decision_names_the_bundle_that_predicted(config: Path) -> None:
    """The hash that training printed and evaluation reports is on what was served."""
    sealed = open_bundle(config.parent / "bundle").digest
    with Router.from_file(config) as router:
        decision = router.route(SUM)
    assert decision.as_dict()["prediction"]["predictor"]["digest"] == sealed
    assert f"predictor {sealed[:19]}" in decision.explain()
    assert unpack(pack(Request(id=decision.request_id, body={}), decision))[1] == decision


def test_a_saving_is_reported_with_its_predicted_quality(
    config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of the same prompts, by the predictions that chose; each alone has the interval's ends."""
    file = tmp_path / "asked.jsonl"
    file.write_text("".join(f'{{"text": "{text}"}}\n' for text in (SUM, NAME)))
    ran = run(capfd, "compare", str(file), "-c", str(config), "--baseline", "large", "--json")
    assert ran.code == 0
    with Router.from_file(config) as router:
        hard, easy = (router.route(text).prediction.success for text in (SUM, NAME))
    found, large = ran.json["predicted_quality"], hard["large"] + easy["large"]
    assert found["share"] == pytest.approx((hard["large"] + easy["small"]) / large)
    assert found["baseline"] == pytest.approx(large / 2)
    ends = sorted((1.0, easy["small"] / easy["large"]))
    assert [found["low"], found["high"]] == pytest.approx(ends)
    shown = run(capfd, "compare", str(file), "-c", str(config), "--baseline", "large")
    assert f"quality predicted: {100 * found['share']:.1f}% of large's" in shown.out


def test_a_caller_may_ask_for_less(config: Path) -> None:
    """A request's own quality wins over the configuration's."""
    with Router.from_file(config) as router:
        assert router.route(SUM, constraints=Constraints(quality=0.01)).model == "small"


def test_a_promise_is_calibrated_stored_and_served(
    config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Promises live side by side; one that was not calibrated is refused with the command."""
    bundle = tmp_path / "bundle"
    shutil.copytree(config.parent / "bundle", bundle)
    before = open_bundle(bundle).digest
    arguments = (
        "calibrate",
        "--table",
        str(write_table(tmp_path, count=900, first=240)),
        "--bundle",
        str(bundle),
    )
    text = config.read_text().replace(f"{config.parent}/bundle", str(bundle))
    file = tmp_path / "turnout.yaml"
    file.write_text(text.replace("quality: 0.85", "lost: 0.2"))
    with pytest.raises(ConfigError, match=r"--lost 0\.2"):
        Router.from_file(file)
    assert run(capfd, *arguments, "--quality", "0.9").code == 0
    assert run(capfd, *arguments, "--lost", "0.2").code == 0
    kept = open_bundle(bundle)
    assert [p.lost for p in kept.promises] == [None, 0.2]
    assert kept.digest != before
    with Router.from_file(file) as router:
        decision = router.route(NAME)
    assert decision.policy.digest.startswith("quality=0.95,threshold=0.")
    assert run(capfd, *arguments, "--lost", "0.001").code == 1
    assert open_bundle(bundle).digest == kept.digest


def test_a_promise_of_fewer_models_than_the_bundle_has_says_so(
    config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The others may be chosen in place of those that it was found with."""
    bundle = tmp_path / "bundle"
    shutil.copytree(config.parent / "bundle", bundle)
    whole = write_table(tmp_path, count=900, first=240)
    part = write_table(
        tmp_path,
        "part",
        count=900,
        first=240,
        models=np.array(MODELS[:2]),
        score=read_table(whole).score[:, :2],
        cost_usd=np.tile([0.001, 0.004], (900, 1)),
    )
    said = "holds for a choice among the table's models, without large: serve those alone"
    for table in (whole, part):
        told = ("--table", str(table), "--bundle", str(bundle), "--quality", "0.8")
        ran = run(capfd, "calibrate", *told)
        assert ran.code == 0
        assert (said in " ".join(ran.err.split())) is (table == part)


def test_a_promise_holds_with_the_margin_it_was_found_with(
    config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A steady policy is served by a steady promise, and by no other.

    One is found on prompts that the bundle has not seen, the other on some that it has.
    """
    bundle = tmp_path / "bundle"
    shutil.copytree(config.parent / "bundle", bundle)
    new, seen = (write_table(tmp_path, f"from{n}", count=500, first=n) for n in (240, 0))
    promise = ("calibrate", "--bundle", str(bundle), "--lost", "0.2", "--table")
    assert run(capfd, *promise, str(new)).code == 0
    file = tmp_path / "turnout.yaml"
    text = config.read_text().replace(f"{config.parent}/bundle", str(bundle))
    file.write_text(text.replace("quality: 0.85", "lost: 0.2, steady: 0.1"))
    with pytest.raises(ConfigError, match=r"--lost 0\.2 --steady 0\.1"):
        Router.from_file(file)
    assert run(capfd, *promise, str(seen), "--steady", "0.1").code == 0
    assert [p.steady for p in open_bundle(bundle).promises] == [0.0, 0.1]
    with Router.from_file(file) as router:
        assert "steady=0.1" in router.route(NAME).policy.digest


def test_a_margin_keeps_strange_prompts_with_the_usual_model(config: Path, tmp_path: Path) -> None:
    """A prompt unlike the table goes to who is good on average; a known one does not."""
    file = tmp_path / "turnout.yaml"
    file.write_text(config.read_text().replace("quality: 0.85", "quality: 0.85, steady: 1"))
    bundle = open_bundle(config.parent / "bundle")
    usual = dict(bundle.mean_qualities)
    with Router.from_file(file) as steady, Router.from_file(config) as free:
        odd, known = steady.route(ODD), steady.route(NAME)
        assert known.model == free.route(NAME).model == "small"
        assert odd.prediction.success == free.route(ODD).prediction.success
    assert odd.model in {m for m, q in usual.items() if q >= 0.85 * max(usual.values())}
    assert odd.prediction.strange is not None
    assert known.prediction.strange is not None
    assert odd.prediction.strange > known.prediction.strange
    assert "steady=1" in odd.policy.digest


def test_a_margin_without_a_bundle_is_refused(config: Path, tmp_path: Path) -> None:
    """Only a bundle tells strange prompts and the models' means."""
    file = tmp_path / "turnout.yaml"
    text = config.read_text().replace(f", bundle: '{config.parent}/bundle'", ", steady: 0.1")
    file.write_text(text)
    with pytest.raises(ConfigError, match="steady needs"):
        Router.from_file(file)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (", bundle: '{}/bundle'", "", "line 7: policy: cheapest_above_quality knows no model's"),
        ("model: ", "model: acme/", "line 7: policy.bundle: cheapest_above_quality knows no"),
    ],
    ids=["without a bundle", "under other names"],
)
def test_an_unmeasured_quality_is_refused(
    config: Path, tmp_path: Path, old: str, new: str, said: str
) -> None:
    """It would be the cheapest model for everything; a model's own quality is enough."""
    file, text = tmp_path / "turnout.yaml", config.read_text()
    file.write_text(text.replace(old.format(config.parent), new))
    with pytest.raises(ConfigError, match=said):
        Router.from_file(file)
    file.write_text(file.read_text().replace("price:", "quality: 0.9, price:", 1))
    Router.from_file(file).close()


def test_a_model_under_another_name_is_named(
    config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It would never be chosen: start, list and decision say so, unless it has a quality."""
    file, text = tmp_path / "turnout.yaml", config.read_text()
    with Router.from_file(config) as router:
        assert router.parts.unknown_qualities is None
        assert "unknown" not in router.route(NAME).explain()
    file.write_text(text.replace("model: large", "model: acme/large"))
    with Router.from_file(file) as router:
        assert "acme/large: expected cost" in router.route(NAME).explain()
        assert "P(success) unknown" in router.route(NAME).explain()
    ran = run(capfd, "models", "--config", str(file))
    assert "never right: acme/large; " in ran.err
    assert "knows small, coder, large; name models as it does" in ran.err
    with serving(yaml.safe_load(file.read_text())) as served:
        assert "never right: acme/large; " in served.log()
    file.write_text(
        file.read_text().replace("model: acme/large", "quality: 0.9, model: acme/large")
    )
    with Router.from_file(file) as router:
        assert router.parts.unknown_qualities is None


def test_a_missing_bundle_names_the_command_that_makes_it(config: Path, tmp_path: Path) -> None:
    """A configuration that names no bundle is refused when it is read."""
    broken = tmp_path / "turnout.yaml"
    broken.write_text(config.read_text().replace("/bundle'", "/nothing'"))
    with pytest.raises(ConfigError, match="turnout train success"):
        Router.from_file(broken)
