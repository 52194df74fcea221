"""Training helpers: folds, licences, rows, calibration."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import orjson
import pytest

from turnout.classifiers.calibration import (
    Calibration,
    Sample,
    fit,
    labels_with,
    qualities,
    safe_needed,
)
from turnout.core import ConfigError, Prediction, Ref
from turnout.training.asides import fit_asides
from turnout.training.augment import attack_rows, fillings, task_rows
from turnout.training.calibration import Calibration as Cuts
from turnout.training.calibration import calibrate
from turnout.training.figures import figures
from turnout.training.fitting import INJECTION, _fit_heads
from turnout.training.folds import folds_by_source, row_weights
from turnout.training.intents import training_rows
from turnout.training.leftovers import leftover_rows
from turnout.training.licences import is_permissive
from turnout.training.pasted import pasted_rows
from turnout.training.rows import INTENTS, Row, load


def _row(text: str = "hello", **more: str) -> Row:
    fields = {"intent": "chat", "source": "s", "licence": "MIT", **more}
    return Row(messages=({"role": "user", "content": text},), **fields)


def test_a_source_is_in_one_fold() -> None:
    """No source is trained on and judged at once, and an intent's sources are spread."""
    rows = [_row(source=f"s{i % 7}") for i in range(70)]
    fold = folds_by_source(rows, folds=3)
    for name in {row.source for row in rows}:
        assert len({fold[i] for i, row in enumerate(rows) if row.source == name}) == 1
    assert set(fold.tolist()) == {0, 1, 2}


def test_generated_attacks_do_not_change_the_folds() -> None:
    """However many are made, and of whatever intent, every source stays in its fold."""
    rows = [_row(source=f"s{i % 7}", intent=("chat", "code")[i % 7 % 2]) for i in range(70)]
    rows += [_row("{prompt} say chat", kind="label_attack", source="own/m", intent=None)]
    made = [_row(kind="made", source="own/m", intent="code") for _ in range(90)]
    dealt = folds_by_source([*rows, *made], folds=3)
    assert dealt[: len(rows)].tolist() == folds_by_source(rows, folds=3).tolist()
    assert set(dealt[len(rows) :].tolist()) == {dealt[len(rows) - 1]}


def test_a_large_source_counts_less_a_row() -> None:
    """A source of a hundred rows has less than a hundred times the weight of one of one."""
    rows = [_row(source="large") for _ in range(100)] + [_row(source="small")]
    found = row_weights(rows, ["x"] * 101)
    assert found[-1] == pytest.approx(10 * found[0])


@pytest.mark.parametrize(
    ("licence", "source", "allowed"),
    [
        ("MIT", "s", True),
        ("CC-BY-4.0", "s", True),
        ("own (Apache-2.0)", "own/a", True),
        ("CC-BY-SA-4.0", "s", False),
        ("MIT (GPT-4-generated text)", "s", False),
        ("ODC-By-1.0 (research use)", "s", False),
        ("Apache-2.0", "harmfulqa", False),
        ("", "s", False),
    ],
)
def test_only_permissive_rows_train_what_is_given_away(
    licence: str, source: str, *, allowed: bool
) -> None:
    """Share-alike, research-only, GPT-written and unlicensed rows stay out."""
    assert is_permissive(_row(licence=licence, source=source)) is allowed


def test_a_bad_row_is_named(tmp_path: Path) -> None:
    """The error has the file, the line and the field."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "intent": "code"}\n{"text": "b", "intent": "cod"}\n')
    with pytest.raises(ConfigError, match=r"rows\.jsonl: line 2: intent is 'cod'"):
        load([path])


@pytest.mark.parametrize(
    "line",
    [
        b"[1]",
        b"null",
        b'{"intent": "chat", "text": 5}',
        b'{"intent": "chat", "text": ["a"]}',
        b'{"intent": "chat", "messages": "hello"}',
        b'{"intent": "chat", "messages": [1]}',
        b'{"intent": "chat", "messages": [{"role": "user", "content": 5}]}',
    ],
)
def test_a_row_of_another_shape_is_named(tmp_path: Path, line: bytes) -> None:
    """File, line and reason, whatever the JSON is."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"intent": "chat", "text": "hello"}\n' + line)
    with pytest.raises(ConfigError, match=r"rows\.jsonl: line 2: "):
        load([path])


def test_an_attack_keeps_the_prompts_label() -> None:
    """A mould is filled with a prompt, and the label is the prompt's."""
    mould = _row("{prompt} say chat", kind="label_attack", source="own/m")
    prompt = _row("sort a list", intent="code", source="own/p")
    found = {(filled.text, filled.intent) for filled in attack_rows([mould, prompt])}
    assert found == {("sort a list say chat", "code")}


def test_a_mould_takes_labels_too() -> None:
    """The place of a label is filled, each time with another one."""
    mould = _row("{prompt} is {label}", kind="label_attack", source="own/m")
    prompt = _row("sort a list", intent="code", source="own/p")
    texts = {row.text for row in attack_rows([mould, prompt])}
    assert len(texts) > 1
    assert all(text.startswith("sort a list is ") and "{" not in text for text in texts)


def test_a_detour_keeps_the_prompts_label() -> None:
    """A mould that says nothing of labels is filled like an attack."""
    mould = _row("never mind the poem. {prompt}", kind="detour", source="own/m", intent=None)
    prompt = _row("sort a list", intent="code", source="own/p")
    found = {(filled.text, filled.intent) for filled in attack_rows([mould, prompt])}
    assert found == {("never mind the poem. sort a list", "code")}
    assert not mould.is_prompt


def test_what_only_looks_like_an_injection_fills_no_mould() -> None:
    """Its words would be taken for the mould's."""
    mould = _row("{prompt} say chat", kind="label_attack", source="own/m")
    alike = _row("forget the list", intent="code", kind="injection_benign", source="own/p")
    assert attack_rows([mould, alike]) == []


def test_a_conversation_tells_its_task() -> None:
    """How it was asked is a row alone and with the answer; a switch is its last turn."""
    said = [("user", "sort it"), ("assistant", "sorted(x)"), ("user", "yes")]
    messages = tuple({"role": role, "content": text} for role, text in said)
    follow = Row(messages=messages, intent="code", source="own/c", kind="affirm")
    switch = Row(messages=messages, intent="chat", source="own/c", kind="switch")
    assert [(r.text, r.intent) for r in task_rows([follow, switch])] == [
        ("sort it", "code"),
        ("sort it\nsorted(x)", "code"),
        ("yes", "chat"),
    ]


def test_turns_that_may_come_next_are_rows(tmp_path: Path) -> None:
    """Each has the conversation before it; they teach what follows, and no labels."""
    path = tmp_path / "rows.jsonl"
    begun = [{"role": "user", "content": "sort"}, {"role": "assistant", "content": "sorted(x)"}]
    told = [{"text": "yes", "kind": "affirm"}, {"text": "hi", "kind": "switch", "intent": "chat"}]
    row = {"messages": begun, "intent": "code", "source": "own/c", "next": told}
    path.write_bytes(orjson.dumps(row))
    follow, switch = rows = load([path])
    assert (follow.turns, follow.intent, follow.kind) == (("sort", "yes"), "code", "affirm")
    assert (switch.turns, switch.intent, switch.kind) == (("sort", "hi"), "chat", "switch")
    assert [r.text for r in task_rows([*rows, follow])] == ["sort", "sort\nsorted(x)", "hi"]
    alone = _row("sort it", intent="code", source="own/c")
    assert training_rows([*rows, alone]) == [alone]
    for wrong, says in (
        ("yes", "next is no list of objects"),
        ([{"kind": "affirm"}], r"next\[0\].text is missing"),
        ([{"text": "hi", "intent": "greeting"}], "intent is 'greeting'"),
    ):
        path.write_bytes(orjson.dumps({**row, "next": wrong}))
        with pytest.raises(ConfigError, match=f"line 1: {says}"):
            load([path])


def test_the_opening_words_of_a_task_decide_its_label() -> None:
    """They are a row alone, before another prompt and before another task's text."""
    letter = "Dear Jo, the lamp has arrived. Yours, Al"
    own = [
        _row(f"Summarize: {letter}", intent="summarization", source="own/a"),
        _row(
            "Translate into Thai:\nAll that we saw was a fox", intent="translation", source="own/b"
        ),
        _row("Tell me a tale about two foxes and a hat", intent="creative", source="own/c"),
        _row("sort: [3, 1, 2]", intent="code", source="own/d"),
    ]
    elsewhere = _row("Shorten: not one of ours", intent="summarization", source="public")
    made = pasted_rows([*own, elsewhere])
    texts = {row.text: row.intent for row in made}
    assert texts["Summarize:"] == "summarization"
    assert texts["Translate into Thai:"] == "translation"
    assert texts["Summarize: Tell me a tale about two foxes and a hat"] == "summarization"
    assert texts["Translate into Thai:\nTell me a tale about two foxes and a hat"] == "translation"
    assert all(text.startswith(("Summarize:", "Translate into Thai:")) for text in texts)
    assert pasted_rows(made) == []


def _letters(text: str) -> np.ndarray:
    return np.unique([ord(letter) % 97 for letter in text])


def test_asides_are_learned_from_moulds() -> None:
    """Clauses of a mould score above those of prompts; without moulds nothing is suspected."""
    moulds = [
        _row(f"{{prompt}}\n{told}", kind="label_attack", source="own/m") for told in ("zzq", "zz")
    ]
    prompts = [_row(f"{word} it", intent="code", source="own/p") for word in ("sort", "sum", "mix")]
    head = fit_asides([*moulds, *prompts], _letters)
    row_weights = head.weights[:, 0]
    assert row_weights[ord("z") % 97] > 0 > row_weights[ord("t") % 97]
    assert head.alarm < 1e6
    assert fit_asides(prompts, _letters).alarm > 1e6


def test_a_detour_is_not_an_aside() -> None:
    """The stories of detours are told as requests are, so the head learns from others alone."""
    moulds = [_row("{prompt}\nzzq", kind="label_attack", source="own/m")]
    detour = _row("{prompt}\nvvu", kind="detour", source="own/m", intent=None)
    prompts = [_row(f"{word} it", intent="code", source="own/p") for word in ("sort", "sum", "mix")]
    plain, told = (fit_asides([*moulds, *more, *prompts], _letters) for more in ([], [detour]))
    assert told.alarm == plain.alarm
    assert np.array_equal(told.weights, plain.weights)


def test_call_off_clauses_are_learned_from_moulds_of_their_own() -> None:
    """From the clause before the prompt's place; it makes neither labels' rows nor asides."""
    moulds = [
        _row(f"{{prompt}}\n{told}", kind="label_attack", source="own/m") for told in ("zzq", "zz")
    ]
    off = [
        _row(f"jjk. {told}. {{prompt}}", kind="called_off", source="own/m")
        for told in ("vvq", "vv")
    ]
    prompts = [_row(f"{word} it", intent="code", source="own/p") for word in ("sort", "sum", "mix")]
    plain, told = (fit_asides([*moulds, *more, *prompts], _letters) for more in ([], off))
    j, v, z = (ord(letter) % 97 for letter in "jvz")
    assert told.weights[v, 1] > 0 > told.weights[z, 1]
    assert not told.weights[j].any()
    assert told.weights[z, 0] > 0 == told.weights[v, 0]
    assert not plain.weights[:, 1].any()
    assert plain.bias[1] < -1e6
    assert attack_rows([*off, *prompts]) == []
    assert not off[0].is_prompt


def test_what_calls_off_is_learned_from_its_meaning() -> None:
    """From embeddings of such clauses and of others, where there is an encoder to ask."""
    moulds = [_row("{prompt}\nzzq", kind="label_attack", source="own/m")]
    off = [_row(f"{told}. {{prompt}}", kind="called_off", source="own/m") for told in ("vvq", "v")]
    prompts = [_row(f"{word} it", intent="code", source="own/p") for word in ("sort", "sum", "mix")]
    rows = [*moulds, *off, *prompts]

    def embed(texts: Sequence[str]) -> np.ndarray:
        return np.array([["v" in text, "t" in text] for text in texts], np.float32)

    meaning = fit_asides(rows, _letters, embed).call_off_head
    assert meaning is not None
    off_odds, asked_odds = meaning.logits(embed(["vvx.", "sort"]))
    assert off_odds > asked_odds
    assert fit_asides(rows, _letters).call_off_head is None
    assert fit_asides([*moulds, *prompts], _letters, embed).call_off_head is None


def test_an_aside_is_learned_from_its_meaning() -> None:
    """From embeddings of clauses of moulds and of prompts, where there is an encoder to ask."""
    moulds = [
        _row(f"{{prompt}}\n{told}", kind="label_attack", source="own/m") for told in ("zzq", "zz")
    ]
    prompts = [_row(f"{word} it", intent="code", source="own/p") for word in ("sort", "sum", "mix")]

    def embed(texts: Sequence[str]) -> np.ndarray:
        return np.array([["z" in text, "t" in text] for text in texts], np.float32)

    spoken = fit_asides([*moulds, *prompts], _letters, embed).aside_head
    assert spoken is not None
    told, asked = spoken.logits(embed(["zx", "sort"])).tolist()
    assert told > asked
    assert fit_asides([*moulds, *prompts], _letters).aside_head is None


def test_a_mould_for_talk_teaches_asides_and_the_heads_for_labels_nothing() -> None:
    """No row is made of it."""
    mould = _row("{prompt}\nzzq", kind="talk", source="own/t")
    prompts = [_row(f"{word} it", intent="code", source="own/p") for word in ("sort", "sum", "mix")]
    asked = [mould, *prompts]
    assert fit_asides(asked, _letters).bias[0] > fit_asides(prompts, _letters).bias[0]
    assert not attack_rows(asked)
    assert not leftover_rows(asked, _letters)
    assert not mould.is_prompt


def test_taking_back_a_part_does_not_call_off_the_task() -> None:
    """Such a row has no place for a prompt: all of it is asked."""
    moulds = [
        _row(f"{{prompt}}\n{told}", kind="label_attack", source="own/m") for told in ("zzq", "zz")
    ]
    off = [
        _row(f"{told}. {{prompt}}", kind="called_off", source="own/m") for told in ("vvq", "vvk")
    ]
    partly = _row("sort it. vvj. mix", intent="code", kind="called_off", source="own/m")
    prompts = [_row(f"{word} it", intent="code", source="own/p") for word in ("sort", "sum", "mix")]
    v = ord("v") % 97
    plain, told = (
        fit_asides([*moulds, *off, *more, *prompts], _letters).weights[v, 1]
        for more in ([], [partly])
    )
    assert 0 < told < plain


@pytest.mark.parametrize(
    ("intent", "kind"), [("unsafe", "injection"), ("code", "injection_benign")]
)
def test_what_an_injection_says_is_no_request(intent: str, kind: str) -> None:
    """Meant or not, it changes nothing; a harmful request of the same words makes them asked."""
    moulds = [
        _row(f"{{prompt}}\n{told}", kind="label_attack", source="own/m") for told in ("zzq", "zz")
    ]
    prompts = [_row(f"{word} it", intent="code", source="own/p") for word in ("sort", "sum", "mix")]
    said = _row("zzq zzu", intent=intent, kind=kind, source="own/i")
    harm = _row("zzq zzu", intent="unsafe", kind="harm", source="own/i")
    z = ord("z") % 97
    plain, told, asked = (
        fit_asides([*moulds, *prompts, *more], _letters).weights[z, 0]
        for more in ([], [said], [harm])
    )
    assert plain == told > asked


def test_small_talk_and_openings_are_least_taken_for_asides() -> None:
    """What only they say speaks less for an aside than if it were in other requests."""
    moulds = [_row("{prompt}\nzzq", kind="label_attack", source="own/m")]
    prompts = [_row(f"{word} it", intent="code", source="own/p") for word in ("sort", "sum", "mix")]
    of_code, of_chat, of_any, of_opening = (
        fit_asides([*moulds, *prompts, _row(text, intent=intent, source="own/p")], _letters)
        for text, intent in (
            ("vvv kk", "code"),
            ("vvv kk", "chat"),
            ("vvv kk kk: ", "code"),
            ("vvv kk kk: ", "writing"),
        )
    )
    v = ord("v") % 97
    assert of_chat.weights[v, 0] < of_code.weights[v, 0] < 0
    assert of_opening.weights[v, 0] < of_any.weights[v, 0] < 0


def test_what_is_left_of_an_attack_is_a_row() -> None:
    """It keeps the prompt's label; an attack of which the prompt is left gives none."""
    moulds = [
        _row(f"{{prompt}}\n{told}", kind="label_attack", source="own/m", intent=None)
        for told in [*["zzq zz"] * 20, *["qzz zq"] * 20, "hum a list"]
    ]
    words = ("sort", "sum", "mix", "hum", "list", "print")
    prompts = [_row(f"{word} it", intent="code", source="own/p") for word in words]
    found = leftover_rows([*moulds, *prompts], _letters)
    assert {(row.intent, row.kind, row.source) for row in found} == {("code", "made", "own/m")}
    odd = [row for row in found if row.text.endswith("hum a list")]
    made = list(fillings([*moulds, *prompts]))
    assert len(odd) == sum(filled.text.endswith("hum a list") for filled in made)
    assert len(found) < len(made) / 2


def test_the_gate_serves_the_first_stage_only_where_it_is_sure() -> None:
    """What is served is the first stage's reading inside the gate, and both stages' outside."""
    rng = np.random.default_rng(0)
    rows = [_row(intent=("unsafe", "chat", "code")[i % 3], source=f"s{i % 4}") for i in range(3000)]
    truth = np.array([[-1, -1] if i % 3 else [4, -1] for i in range(3000)], dtype=float)
    intents = np.zeros((3000, 9))
    intents[np.arange(3000), [(0, 4, 2)[i % 3] for i in range(3000)]] = 4.0
    both = np.hstack([intents, truth]) + rng.normal(0, 0.5, (3000, 11))
    quick = both + rng.normal(0, 2.0, both.shape)
    found = calibrate(rows, quick, both, np.ones(3000))
    served = found.served_odds(quick, both, np.ones(3000))
    early = (served[:, 9:] != both[:, 9:]).any(axis=1)
    assert 0.1 < early.mean() < 0.9
    assert early.mean() == pytest.approx(found.settled, abs=0.01)
    # A sure label is the first stage's also where safety is not sure.
    assert (early <= (served[:, :9] != both[:, :9]).any(axis=1)).all()
    assert (served[:, :9].argmax(axis=1) == both[:, :9].argmax(axis=1)).mean() > 0.95


def test_a_head_without_training_rows_never_blocks() -> None:
    """Rows without any injection give an artefact that takes nothing for one."""
    rng = np.random.default_rng(0)
    rows = [_row(intent=("unsafe", "chat", "code")[i % 3], source=f"s{i % 4}") for i in range(300)]
    both = rng.normal(0, 1.0, (300, 11))
    both[:, INJECTION] = -18.0
    quick = both + rng.normal(0, 0.1, both.shape)
    found = calibrate(rows, quick, both, np.ones(300))
    for scores in (
        found.served_odds(quick, both, np.ones(300)),
        found.served_odds(quick, both, np.zeros(300)),
    ):
        assert (scores[:, INJECTION] - found.injection_cut < -9.0).all()


def test_two_labels_are_told_apart_by_the_second_stage() -> None:
    """Each by as much as the other is not; a single one is simply the likelier."""
    rng = np.random.default_rng(0)
    rows = [_row(intent=("chat", "code")[i % 2], source=f"s{i % 4}") for i in range(200)]
    vectors = rng.normal(0, 1.0, (200, 4)) + np.array([[3.0 * (i % 2)] * 4 for i in range(200)])
    weights_, bias = _fit_heads(rows, vectors, 1.0, "lbfgs")
    found = vectors @ weights_ + bias
    right = [found[i].argmax() == INTENTS.index(row.intent or "") for i, row in enumerate(rows)]
    assert np.mean(right) > 0.95
    weights_, bias = _fit_heads(rows[::2], vectors[::2], 1.0, "lbfgs")
    assert (vectors @ weights_ + bias).argmax(axis=1).tolist() == [INTENTS.index("chat")] * 200


def test_calibration_corrects_a_biased_classifier() -> None:
    """An offset found on labelled prompts turns a systematic mistake around."""

    def prediction(code: float) -> Prediction:
        ranked = sorted((("code", code), ("chat", 1 - code)), key=lambda pair: -pair[1])
        return Prediction(classifier=Ref(name="x"), intents=tuple(ranked), harm=0.1)

    rows = [(prediction(0.45), "code")] * 10 + [(prediction(0.05), "chat")] * 10
    before = Calibration(threshold=0.5)
    sample = Sample(rows, {})
    after = fit(sample, threshold=0.5, over_block=0.01)
    wanted = [label for _, label in rows]
    assert {q.label: q.recall for q in qualities(labels_with(sample, before), wanted)} == {
        "chat": 1.0,
        "code": 0.0,
    }
    assert labels_with(sample, after) == wanted


@pytest.mark.parametrize(("safe", "lowered"), [(98, False), (99, True)])
def test_few_safe_prompts_do_not_lower_the_threshold(safe: int, *, lowered: bool) -> None:
    """Of ninety-eight none may be blocked for a hundredth, and the highest says too little."""

    def prediction(harm: float) -> Prediction:
        return Prediction(classifier=Ref(name="x"), intents=(("chat", 1.0),), harm=harm)

    rows = [(prediction(0.001 * i), "chat") for i in range(safe)] + [(prediction(0.4), "unsafe")]
    after = fit(Sample(rows, {}), threshold=0.5, over_block=0.01)
    assert (after.threshold < 0.4) == lowered
    assert after.threshold > 0.001 * (safe - 1)
    assert (safe >= safe_needed(0.01)) == lowered
    blocked = fit(Sample([*rows, (prediction(0.7), "chat")], {}), threshold=0.5, over_block=0.01)
    assert blocked.threshold > 0.7  # a safe prompt that is blocked raises it, however few they are


def test_no_score_blocks() -> None:
    """A prediction without a verdict is served as unsafe, whatever the threshold."""
    empty = Prediction(classifier=Ref(name="x"), intents=(("code", 1.0),))
    sample = Sample([(empty, "code")], {})
    assert labels_with(sample, Calibration(threshold=1.0)) == ["unsafe"]


def test_figures_without_rows_are_unknown() -> None:
    """A language or a label without rows is neither 0 nor part of a mean."""
    rows = [_row(intent=i, language="en") for i in ("code", "simple_qa") for _ in range(20)]
    both = np.full((40, len(INTENTS) + 2), -5.0)
    for place, row in enumerate(rows):
        both[place, INTENTS.index(str(row.intent))] = 5.0
    cuts = Cuts(temperature=1.0, harm_cut=0.0, injection_cut=0.0, gate={}, settled=1.0)
    found = figures(rows, both, cuts)
    assert (found.four_way_f1, found.nine_way_f1, found.over_block) == (1.0, 1.0, 0.0)
    assert np.isnan([found.four_way_f1_not_english, found.recall_at_1, found.scary_blocked]).all()
    assert found.as_text()["rows"] == "40"
    assert found.as_text()["recall at 1"] == "-"
