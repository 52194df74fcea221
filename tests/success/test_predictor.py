"""The success predictor: learns, is reproducible, and reads only what it may."""

import gzip
import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.success.worlds import MODELS, prompts, trained_predictor, write_table
from turnout.classifiers.artefact import Artefact
from turnout.classifiers.success import by_prior, by_probes, load, open_bundle
from turnout.classifiers.success.artefact import FILE
from turnout.classifiers.success.encoding import (
    encode,
    encode_all,
    length_of,
    marks_of,
    meaning_of,
    without_wording,
)
from turnout.classifiers.success.expert import Advice, Blend, Reading, forest_inputs
from turnout.classifiers.success.predictor import Floats, SuccessPredictor, advise, merged_success
from turnout.classifiers.success.smooth import Neighbours
from turnout.cli import main
from turnout.core import ConfigError
from turnout.evaluation.table_files import read_table
from turnout.features import likeness
from turnout.features.difficulty import NAMES
from turnout.features.prompt import PromptText, row_text
from turnout.training.bundle import write_bundle
from turnout.training.forest import grow_pair
from turnout.training.probe import informative_rows
from turnout.training.smooth import fit_smooth, out_of_fold_departures
from turnout.training.success import train


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle trained on the small world."""
    place = tmp_path_factory.mktemp("success")
    table = read_table(write_table(place))
    write_bundle(trained_predictor(), [table], place / "bundle")
    return place


def test_it_learns_which_models_find_a_prompt_hard(folder: Path) -> None:
    """New sums need the large model, new names do not."""
    predictor = open_bundle(folder / "bundle").predictor
    hard = predictor.predict(
        PromptText(
            "Calculate the total of 12, 400, 93, 777, 51, 38, 640, 215 and then divide it by 9."
        )
    )
    easy = predictor.predict(PromptText("Name a well known bird that starts with letter k (9)."))
    assert hard["large"] - hard["small"] > 0.4
    assert abs(easy["large"] - easy["small"]) < 0.25


def test_training_twice_gives_the_same_bundle(folder: Path) -> None:
    """The content hash depends on rows and seed only."""
    table = read_table(folder / "world")
    again = write_bundle(train([table]), [table], folder / "again")
    assert again == open_bundle(folder / "bundle").digest


def test_predictions_read_no_id_task_or_bucket(folder: Path) -> None:
    """Everything but the text may be scrambled without a change."""
    predictor = open_bundle(folder / "bundle").predictor
    rows = prompts(20, seed=5)
    strange = [
        {**row, "id": f"x{n}", "task": "names", "bucket": 69 - n, "split": "test", "cluster_id": n}
        for n, row in enumerate(rows)
    ]
    first = predictor.predict_all([row_text(row) for row in rows])
    assert np.array_equal(first, predictor.predict_all([row_text(row) for row in strange]))


def test_training_reads_no_task(folder: Path, tmp_path: Path) -> None:
    """A table whose tasks are all named alike gives the same bundle."""
    prefix = write_table(tmp_path)
    rows = [{**row, "task": "t", "bucket": 0} for row in prompts(240)]
    with gzip.open(f"{prefix}.prompts.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    table = read_table(prefix)
    assert (
        write_bundle(train([table]), [table], tmp_path / "b")
        == open_bundle(folder / "bundle").digest
    )


def test_a_strange_prompt_falls_back_towards_the_means(folder: Path) -> None:
    """Unlike anything seen, a prompt moves the models less than a familiar one, and less surely."""
    predictor = open_bundle(folder / "bundle").predictor
    odd = PromptText("def f(x):\n    return {k: [v] for k, v in x.items() if v is not None}\n" * 8)
    familiar = row_text(prompts(6, seed=9)[1])
    (success, other), (strange, known) = zip(
        *map(predictor.predict_with_strangeness, (odd, familiar)), strict=True
    )
    prior = predictor.experts[0].prior
    assert strange > known
    assert sum(predictor.uncertainty(odd).values()) > sum(predictor.uncertainty(familiar).values())
    assert np.abs([*success.values()] - prior).sum() < np.abs([*other.values()] - prior).sum()


def test_several_tables_with_other_models_make_one_bundle(folder: Path, tmp_path: Path) -> None:
    """Tables that share questions but not models are learned together."""
    other = write_table(tmp_path, "other", models=np.array(["tiny", "medium", "huge"]))
    predictor = train([read_table(folder / "world"), read_table(other)])
    assert predictor.models == (*MODELS, "tiny", "medium", "huge")
    found = predictor.predict_all([row_text(row) for row in prompts(4)])
    assert found.shape == (4, 6)
    assert ((found > 0) & (found < 1)).all()


def test_strangeness_is_that_of_the_table_that_knows_the_prompt_best(folder: Path) -> None:
    """A table that knows nothing does not make a prompt stranger."""
    predictor = open_bundle(folder / "bundle").predictor
    (one,) = predictor.experts
    knows_nothing = replace(one, blend=replace(one.blend, slope=0.0, offset=30.0))
    for row in prompts(12, seed=3):
        text = row_text(row)
        success, strange = predictor.predict_with_strangeness(text)
        assert success == predictor.predict(text)
        assert 0 <= strange < 1
        both = replace(predictor, experts=(knows_nothing, one)).predict_with_strangeness(text)[1]
        assert both == strange
        assert replace(predictor, experts=(knows_nothing,)).predict_with_strangeness(text)[
            1
        ] == pytest.approx(1)


def test_long_empty_and_odd_prompts_are_predicted(folder: Path) -> None:
    """No text makes it fail."""
    predictor = open_bundle(folder / "bundle").predictor
    for text in ("", " ", "\x00", "é" * 50_000, "a " * 50_000, "(" * 5000, "1" * 20_000):
        success = predictor.predict(PromptText(text, "not json {"))
        assert all(0 < p < 1 for p in success.values())


def test_a_changed_bundle_is_refused(folder: Path, tmp_path: Path) -> None:
    """What is not what was sealed is not served."""
    shutil.copytree(folder / "bundle", tmp_path / "b")
    (tmp_path / "b" / "catalogue.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"catalogue\.json was changed after"):
        open_bundle(tmp_path / "b")
    with pytest.raises(ConfigError, match="turnout train success"):
        load(tmp_path)


def test_a_new_model_is_known_from_probes(folder: Path) -> None:
    """A model added by probes is placed like the model that it equals."""
    table = read_table(folder / "world")
    predictor = trained_predictor("small", "coder")
    success = predictor.predict_all([row_text(row) for row in table.prompts])
    chosen = informative_rows(success, 100)
    assert len(set(chosen.tolist())) == 100
    added = by_probes("large", success[chosen], table.score[chosen, 2], predictor.models)
    found = added.predict(success, {"small": 0, "coder": 1})
    assert abs(float(found.mean()) - float(table.score[:, 2].mean())) < 0.1


def test_ten_right_probes_are_no_proof_of_always() -> None:
    """The mean is drawn towards the other models' by two probes' worth, as in a table."""
    known = np.full((10, 3), 0.6, np.float32)
    found = by_probes("new", known, np.ones(10, np.float32), MODELS)
    assert found.prior == pytest.approx(11.2 / 12)


def test_a_new_model_by_prior_moves_with_the_others() -> None:
    """Where the known models all do worse, so does the newcomer."""
    added = by_prior("new", 0.7, {"a": 0.6, "b": 0.8})
    hard, easy = added.predict(np.array([[0.4, 0.6], [0.8, 1.0]], np.float32), {"a": 0, "b": 1})
    assert hard == pytest.approx(0.5)
    assert easy == pytest.approx(0.9)


def test_the_commands_train_predict_and_evaluate(folder: Path, tmp_path: Path) -> None:
    """The command line goes from a table to predictions in the input's order."""
    with pytest.raises(SystemExit) as done:
        main(["train", "success", "--table", str(folder / "world"), "--out", str(tmp_path / "b")])
    assert done.value.code == 0
    asked = tmp_path / "p.jsonl"
    rows = [{"id": 7, "messages": [{"role": "user", "content": "Name a bird."}]}, {"id": "x"}]
    asked.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(SystemExit) as done:
        main(
            ["predict", "--prompts", str(asked), "--bundle", str(tmp_path / "b"), "--out",
             str(tmp_path / "out.jsonl")]
        )  # fmt: skip
    assert done.value.code == 0
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [7, "x"]
    assert list(lines[0]["success"]) == list(MODELS)


def _reading(strange: list[float], *, models: int = 2, length: float = 0.0) -> Reading:
    return Reading(
        members=np.zeros((2, 3, len(strange), models), np.float32),
        strange=np.array(strange, np.float32),
        length=np.full(len(strange), length, np.float32),
    )


def test_the_gain_of_abler_models_comes_from_tables_that_know_the_prompt() -> None:
    """An expert is told the others' gain as well as they know the prompt, and never its own."""
    one, other = _reading([0, 1, 1]), _reading([1, 1, 0])
    gains = [np.full(3, 0.2, np.float32), np.full(3, -0.1, np.float32)]
    to_one, to_other = advise([one, other], gains)
    assert to_other.gain[0] == pytest.approx(0.2, rel=0.15)
    assert to_one.gain[2] == pytest.approx(-0.1, rel=0.15)
    assert to_one.gain[:2].tolist() == to_other.gain[1:].tolist() == [0, 0]
    assert to_one.familiarity.tolist() == [0, 0, 1]


def test_contrasts_of_a_table_that_knows_the_prompt_replace_own_ones(folder: Path) -> None:
    """Only where the prompt is strange and another expert knows it is the told gain decisive."""
    (expert,) = open_bundle(folder / "bundle").predictor.experts
    members = np.zeros((2, 3, 2, 3), np.float32)
    members[..., 0] = 0.3
    reading = replace(_reading([0, 1]), members=members)
    told = Advice(gain=np.full(2, 0.02, np.float32), familiarity=np.ones(2, np.float32))
    known, strange = expert.predict(reading, told) - expert.prior
    assert known == pytest.approx(expert.predict(reading)[0] - expert.prior, abs=1e-6)
    gained = strange - strange.mean()
    assert gained == pytest.approx(0.02 * expert.ability, abs=1e-6)


def test_trees_read_levels_that_have_not_seen_the_row(tmp_path: Path) -> None:
    """In training a row's level is foretold without its outcomes, so that trees can trust it."""
    table = read_table(write_table(tmp_path))
    encoded = encode_all([row_text(row) for row in table.prompts])
    score = table.score.astype(np.float32)
    noise = np.random.default_rng(0).permutation(score)
    texts = tuple(str(number) for number in range(len(score)))
    level = noise.mean(axis=1)

    def level_correlation(smooth: Floats) -> float:
        read = forest_inputs(encoded, smooth, of_calls=False)
        return float(np.corrcoef(read[:, 1], level)[0, 1])

    assert (
        level_correlation(fit_smooth(encoded, noise, 0).departures_and_closeness(encoded)[0]) > 0.15
    )
    assert level_correlation(out_of_fold_departures(texts, encoded, noise, 0)) < 0.1


def test_a_long_strange_prompt_costs_less_able_models_more(folder: Path) -> None:
    """The best model keeps its place, the others lose a bounded part; known prompts stay."""
    (expert,) = open_bundle(folder / "bundle").predictor.experts
    short, long = (expert.predict(_reading([0, 1], models=3, length=n)) for n in (0.0, 1.0))
    assert (short[0] == long[0]).all()
    lost, best = short[1] - long[1], int(expert.ability.argmax())
    assert lost[best] == 0
    assert (np.diff(lost[np.argsort(-expert.ability)]) > 0).all()
    assert lost.max() < 0.33


def test_a_strange_prompt_is_read_without_its_wording() -> None:
    """Chattier or terser, its marks are the same; what it holds and its meaning still count."""
    terse = PromptText("12 loaves, 5 sold. left?")
    chatty = PromptText(
        "She said that he sold 5 of your 12 loaves; would you tell us what is left?"
    )
    encoded = encode_all([terse, chatty])
    centre = marks_of(encode_all([PromptText(f"Q {n}") for n in range(20)])).mean(axis=0)
    bare = marks_of(without_wording(encoded, centre))
    before, after = np.abs(np.diff(marks_of(encoded), axis=0)), np.abs(np.diff(bare, axis=0))
    assert (after <= before).all()
    assert (after > 0).sum() < 0.5 * (before > 0).sum()
    assert np.array_equal(meaning_of(without_wording(encoded, centre)), meaning_of(encoded))


def test_phrasing_is_not_read_of_prompts_with_tools() -> None:
    """The same call asked for as a command or as a question has the same marks of phrasing."""
    tool = json.dumps([{"name": "weather", "description": "Weather of a city", "parameters": {}}])
    asked = [PromptText("Weather in Oslo", tool), PromptText("Could you tell me? In Oslo.", tool)]
    encoded = encode_all(asked)
    assert np.array_equal(without_wording(encoded, marks_of(encoded).mean(axis=0)), encoded)
    for name in ("words", "sentences", "question_marks", "ends_asking"):
        assert (encoded[:, NAMES.index(name)] == 0).all()


def _tool(name: str, parameters: int) -> dict[str, object]:
    """A tool that requires so many numbers."""
    given = {f"{name}_{n}": {"type": "number"} for n in range(parameters)}
    return {"name": name, "parameters": {"properties": given, "required": list(given)}}


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory) -> SuccessPredictor:
    """Trained on the small world with one tool beside each prompt."""
    prefix = write_table(tmp_path_factory.mktemp("calls"))
    table = read_table(prefix)
    tools = [json.dumps([_tool("total", 1 + n % 3)]) for n in range(len(table.prompts))]
    rows = [{**r, "functions": t} for r, t in zip(table.prompts, tools, strict=True)]
    return train([replace(table, prompts=tuple(rows))])


def test_a_call_of_a_new_form_is_strange(calls: SuccessPredictor) -> None:
    """Many tools where there was one, or none at all: said in known words or not."""
    said = row_text(prompts(6, seed=9)[1]).text
    many = json.dumps([_tool(f"t{n}", 5) for n in range(7)])
    one = json.dumps([_tool("total", 2)])
    strange = [
        calls.predict_with_strangeness(PromptText(said, tools))[1] for tools in (one, many, "")
    ]
    assert strange[0] < 0.3
    assert min(strange[1:]) > 0.7


def test_differences_between_models_are_reduced_on_a_strange_call(calls: SuccessPredictor) -> None:
    """As far as it is strange, about what they do in the mean; elsewhere nothing is taken."""
    (expert,) = calls.experts
    known, half, strange = expert.predict(_reading([0, 0.5, 1], models=3))
    assert known == pytest.approx(expert.prior, abs=1e-6)
    for success in (half, strange):
        assert success.mean() == pytest.approx(known.mean(), abs=1e-6)
    assert np.ptp(half) == pytest.approx(0.85 * np.ptp(known), rel=1e-4)
    assert np.ptp(strange) == pytest.approx(0.7 * np.ptp(known), rel=1e-4)


def test_small_contrasts_are_ignored_on_a_strange_prompt() -> None:
    """There they shrink, the smaller the more, and keep their order; others keep them."""
    weights = np.zeros((2, 2, 3), np.float32)
    weights[:, 1, 0] = 1.0
    basis = np.eye(3, dtype=np.float32)
    blend = Blend(weights=weights, basis=basis, slope=0.0, offset=0.0, contrast_floor=0.06)
    contrast = np.array([[0.01, 0.2, -0.21]], np.float32)
    members = np.tile(contrast, (2, 3, 1, 1))
    known, unsure, strange = (
        blend.departures(members, np.array([s], np.float32)) for s in (0.0, 0.5, 1.0)
    )
    assert known[0] == pytest.approx(contrast[0], abs=1e-4)
    assert unsure[0] == pytest.approx(contrast[0], abs=1e-4)
    share = strange[0] / contrast[0]
    assert share[0] < 0.2
    assert (share[1:] > 0.9).all()
    assert np.array_equal(np.argsort(strange[0]), np.argsort(contrast[0]))


def test_a_forest_of_two_models_keeps_the_scale_of_what_it_learned() -> None:
    """Its trees look at the gap first, its predictions are the departures themselves."""
    marks = np.tile(np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], np.float32), (60, 1))
    level, gap = 0.2 * marks[:, 0], 0.3 * marks[:, 1]
    target = np.stack([level - gap / 2, level + gap / 2], axis=1).astype(np.float32)
    found = grow_pair(marks, target, 0, 10).predict(marks)
    assert found == pytest.approx(target, abs=1e-3)


def test_of_two_models_the_forest_alone_says_who_does_better() -> None:
    """On a known prompt their gap is that of their means, moved as the forest says."""
    (expert,) = trained_predictor("small", "large").experts
    encoded = encode_all([row_text(row) for row in prompts(40, seed=4)])
    reading = expert.read(encoded)
    known = replace(reading, strange=np.zeros_like(reading.strange))
    success = expert.prior + expert.blend.departures(known.members, known.strange)
    inputs = forest_inputs(
        encoded, expert.smooth.departures_and_closeness(encoded)[0], of_calls=False
    )
    forest = expert.prior + expert.forest.predict(inputs)
    assert np.ptp(forest[:, 1] - forest[:, 0]) > 0.1
    assert success[:, 1] - success[:, 0] == pytest.approx(forest[:, 1] - forest[:, 0], abs=1e-5)


def test_likeness_of_options_is_read_only_for_two_models() -> None:
    """A pair's trees can learn from it; nothing else that predicts can see it."""
    said = ("Which one?\nA. a red wire\nB. a red wire", "Which one?\nA. a red wire\nB. a lid rope")
    encoded = encode_all([PromptText(text) for text in said])
    hidden = encoded.copy()
    hidden[:, -len(likeness.NAMES) :] = 0
    two, three = (np.zeros((2, len(said), models), np.float32) for models in (2, 3))
    for calls in (True, False):
        read = partial(forest_inputs, of_calls=calls)
        assert (read(encoded, two) != read(hidden, two)).any()
        assert np.array_equal(read(encoded, three), read(hidden, three))
    for seen in (marks_of, meaning_of):
        assert np.array_equal(seen(encoded), seen(hidden))
    assert np.array_equal(encode(PromptText(said[0]), compare_options=False), hidden[0])


def test_rewording_what_people_type_does_not_change_its_length() -> None:
    """Lengths begin to count where few questions are, end at few thousand characters."""
    texts = ("Why?", "Would you kindly tell me why that is so, please? " * 8)
    long = ("x" * 1000, "x" * 2000, "x" * 9000)
    found = length_of(encode_all([PromptText(text) for text in (*texts, *long)]))
    assert found[:2].tolist() == [0, 0]
    assert 0 < found[2] < found[3]
    assert found[3:] == pytest.approx(1)


def test_tables_are_aligned_on_the_models_they_share() -> None:
    """What a table says of two models stays, wherever another puts the one that both have."""
    ours, theirs = np.array([[0.8, 0.6]], np.float32), np.array([[0.4, 0.3]], np.float32)
    sure, unsure = np.array([[0.9]], np.float32), np.array([[0.1]], np.float32)
    found = merged_success([ours, theirs], [np.array([0, 1]), np.array([0, 2])], [unsure, sure])[0]
    assert found[0] == pytest.approx(0.44)
    assert found[0] - found[1] == pytest.approx(0.2)
    assert found[0] - found[2] == pytest.approx(0.1)


def test_a_bundle_of_an_older_version_is_refused_with_the_way_out(
    folder: Path, tmp_path: Path
) -> None:
    """Its figures would no longer be those it was calibrated with."""
    stored = Artefact.load(folder / "bundle" / FILE)
    replace(stored, meta={**stored.meta, "schema": "difficulty/2+words/64"}).save(tmp_path / FILE)
    with pytest.raises(ConfigError, match=r"success\.zip: schema .*: train again"):
        load(tmp_path)


def test_the_closeness_of_a_call_does_not_depend_on_the_batch() -> None:
    """What rounding leaves of the distance to itself hung on how many prompts were read at once."""
    random = np.random.default_rng(0)
    places = random.normal(size=(300, 130)).astype(np.float32)
    places /= np.linalg.norm(places, axis=1, keepdims=True)
    known = Neighbours(
        places=places, departures=np.zeros((300, 2), np.float32), count=80, of_calls=True
    )
    together = known.departures_and_closeness(places)[1]
    alone = np.concatenate([known.departures_and_closeness(one[None])[1] for one in places])
    assert np.abs(together - alone).max() < 1e-6


def test_a_prediction_does_not_depend_on_the_prompts_beside_it() -> None:
    """Alone, in any order and among others it is the same number, not one near it."""
    predictor = trained_predictor()
    known = dict(zip(predictor.trained, (0.5, 0.6, 0.8), strict=True))
    predictor = replace(predictor, newcomers=(by_prior("new", 0.7, known),))
    asked = [row_text(row) for row in prompts(300, seed=5)]
    together = predictor.predict_all(asked)
    assert np.array_equal(predictor.predict_all(asked[::-1])[::-1], together)
    assert np.array_equal(predictor.predict_all(asked[37:]), together[37:])
    alone = [list(predictor.predict(prompt).values()) for prompt in asked]
    assert np.array_equal(np.array(alone, np.float32), together)
