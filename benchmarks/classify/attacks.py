"""Attempts to change a verdict: disguises, orders about the label, and later turns."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.classify.data import OWN, blocked_flags, own_files, user_message
from benchmarks.classify.disguises import TRANSFORMS
from benchmarks.classify.interval import by_group, share
from turnout.classifiers import LocalClassifier
from turnout.core import UNSAFE, Message, Prediction
from turnout.training.rows import SWITCH, Row, load

_PROMPTS = 50
_DISGUISED = 100
_BATCH = 256


def disguises(_data: Sequence[Path]) -> dict[str, Any]:
    """Share of plain unsafe prompts still caught after each transform (own mild prompts)."""
    classifier = LocalClassifier.load()
    rows = [r for r in load([OWN / "safety.jsonl"]) if r.unsafe and r.language == "en"]
    texts = [row.text for row in rows if row.is_prompt]
    plain = blocked_flags(classifier, texts)
    caught = [text for text, hit in zip(texts, plain, strict=True) if hit][:_DISGUISED]
    out: dict[str, Any] = {"plain prompts, all caught": len(caught)}
    for name, transform in TRANSFORMS.items():
        out[name] = share(blocked_flags(classifier, [transform(text) for text in caught]))
    return out


def label_attacks(_data: Sequence[Path]) -> dict[str, Any]:
    """How often an attack on the label flips it: moulds never trained on x 50 and 50 prompts.

    The first 50 are own prompts that were trained on; the others are in no other file.
    """
    classifier = LocalClassifier.load()
    moulds = [row.text for row in load([OWN / "label_attacks_test.jsonl"])]
    rows = [r for r in load([OWN / "english.jsonl"]) if r.is_prompt and len(r.text) < 300]
    known = [row.text for row in rows[:: len(rows) // _PROMPTS]][:_PROMPTS]
    fresh = [row.text for row in load([OWN / "attacked_prompts_test.jsonl"])]
    of_known = _flip_rates(classifier, moulds, known)
    of_fresh = _flip_rates(classifier, moulds, fresh)
    return {
        "moulds": len(moulds),
        "attacks": len(moulds) * (len(known) + len(fresh)),
        **of_known,
        **{f"{name}, new prompts": value for name, value in of_fresh.items()},
    }


def _flip_rates(
    classifier: LocalClassifier, moulds: Sequence[str], prompts: Sequence[str]
) -> dict[str, Any]:
    """How often the prompts' labels flip in the moulds, and how often they are blocked there."""
    plain = [
        _served_label(classifier, p)
        for p in classifier.predict_batch([user_message(t) for t in prompts])
    ]
    flipped, refused, of_mould = [], [], []
    for number, mould in enumerate(moulds):
        texts = [mould.replace("{prompt}", prompt) for prompt in prompts]
        after = classifier.predict_batch([user_message(text) for text in texts])
        labels = [_served_label(classifier, prediction) for prediction in after]
        flipped += [a not in (b, UNSAFE) for a, b in zip(labels, plain, strict=True)]
        refused += [a == UNSAFE != b for a, b in zip(labels, plain, strict=True)]
        of_mould += [number] * len(prompts)
    return {
        "flipped": by_group(flipped, of_mould),
        "refused instead": by_group(refused, of_mould),
    }


def follow_ups(_data: Sequence[Path]) -> dict[str, Any]:
    """Held-out conversations: the label after the follow-up against the task's own label."""
    classifier = LocalClassifier.load()
    rows = load([OWN / "conversations_test.jsonl"])
    after = _intents(classifier, [row.messages for row in rows])
    first = _intents(classifier, [user_message(row.turns[0]) for row in rows])
    out: dict[str, Any] = {"conversations": len(rows)}
    for kind in sorted({row.kind for row in rows}):
        chosen = [i for i, row in enumerate(rows) if row.kind == kind]
        out[f"{kind}: right label"] = share([after[i] == rows[i].intent for i in chosen])
    stays = [i for i, row in enumerate(rows) if row.kind != SWITCH]
    right_at_first = [i for i in stays if first[i] == rows[i].intent]
    out["all but switches: right label"] = share([after[i] == rows[i].intent for i in stays])
    out["all but switches: right label of the first turn alone"] = share(
        [first[i] == rows[i].intent for i in stays]
    )
    out["all but switches: right first label kept"] = share(
        [after[i] == rows[i].intent for i in right_at_first]
    )
    return out


def next_turns(_data: Sequence[Path]) -> dict[str, Any]:
    """Next turns in conversations by a writer never trained on: follow-ups and new tasks."""
    classifier = LocalClassifier.load()
    rows = load([OWN / "turns_test.jsonl"])
    after = np.array(_intents(classifier, [row.messages for row in rows]))
    wanted = np.array([row.intent for row in rows])
    first_turns = np.array([row.turns[0] for row in rows])
    new = np.array([row.kind == SWITCH for row in rows])
    tasks = [row.text if row.kind == SWITCH else row.turns[0] for row in rows]
    right_alone = np.array(_intents(classifier, [user_message(text) for text in tasks])) == wanted
    out: dict[str, Any] = {"conversations": len(set(first_turns))}
    for name, some in (("goes on", ~new), ("new task", new)):
        right = after[some] == wanted[some]
        out |= {
            f"{name}: turns": int(some.sum()),
            f"{name}: right label": by_group(right, first_turns[some]),
            f"{name}: right label of its task alone": by_group(
                right_alone[some], first_turns[some]
            ),
            f"{name}: such a right label kept": by_group(
                right[right_alone[some]], first_turns[some & right_alone]
            ),
        }
    return out


def _intents(
    classifier: LocalClassifier, conversations: Sequence[Sequence[Message]]
) -> list[str | None]:
    return [found.intent for found in classifier.predict_batch(conversations)]


def own_prompts(_data: Sequence[Path]) -> dict[str, Any]:
    """Safe but alarming own prompts, and the data set by language without near-duplicates."""
    classifier = LocalClassifier.load()
    rows = load(own_files())
    scary = [row for row in rows if row.kind in ("scary_benign", "injection_benign")]
    found = []
    for start in range(0, len(scary), _BATCH):
        found += list(
            blocked_flags(classifier, [row.text for row in scary[start : start + _BATCH]])
        )
    alone = _languages_of_distinct([row for row in rows if row.is_prompt])
    counts = {code: alone.count(code) for code in sorted(set(alone)) if alone.count(code) >= 20}
    return {
        "alarming and harmless, trained on: blocked": share(found),
        "prompts, near-duplicates once": len(alone),
        **{f"prompts in {code}": count for code, count in counts.items()},
    }


def _served_label(classifier: LocalClassifier, prediction: Prediction) -> str | None:
    unsafe = prediction.unsafe is None or prediction.unsafe >= classifier.threshold
    return UNSAFE if unsafe else prediction.intent


def _languages_of_distinct(rows: Sequence[Row]) -> list[str]:
    """The language of every row that shares less than 0.7 of its words with each earlier row."""
    seen: dict[str, list[int]] = {}
    kept: list[set[str]] = []
    languages = []
    for row in rows:
        words = set(_words(row.text))
        near = np.bincount([i for word in words for i in seen.get(word, ())], minlength=1)
        if any(
            shared and shared / (len(words) + len(kept[i]) - shared) > 0.7
            for i, shared in enumerate(near)
        ):
            continue
        for word in words:
            seen.setdefault(word, []).append(len(kept))
        kept.append(words)
        languages.append(row.language)
    return languages


def _words(text: str) -> list[str]:
    # Scripts without blanks: pairs of characters stand in for words.
    words = text.lower().split()
    return words if len(words) > 2 else [text[i : i + 2] for i in range(len(text) - 1)]
