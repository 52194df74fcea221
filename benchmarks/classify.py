"""``python -m benchmarks.classify DATA…``: how well and how fast the local classifier works.

DATA are labelled JSONL files; with the project's own prompts they are split into folds by
source, and what is printed is measured on sources that training never saw. The parts, all of
them unless named with ``--part``: folds, languages, disguises, attacks, follow_ups, speed, llm.
``--json`` prints the same as JSON. The comparison with semantic-router is
``benchmarks/classify_peer.py``, which needs an environment of its own.
"""

import argparse
import base64
import codecs
import json
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe, spread, timed
from turnout.classifiers import LocalClassifier, llm
from turnout.classifiers.decoders import MORSE
from turnout.training.features import Features, extract
from turnout.training.figures import FOUR, four_way, is_own, recall_at
from turnout.training.fitting import fit
from turnout.training.folds import FOLDS, by_source
from turnout.training.intents import judge, measure, quiet, training_rows
from turnout.training.licences import permissive
from turnout.training.rows import Row, load

OWN = Path(__file__).parent.parent / "datasets" / "prompts"
PARTS = ("folds", "languages", "disguises", "attacks", "follow_ups", "speed", "llm")
_ATTACKED_PROMPTS = 50
_DISGUISED = 100


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="*", type=Path)
    parser.add_argument("--part", choices=PARTS, action="append")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    wanted = options.part or list(PARTS)
    found = {part: _RUN[part](options.data) for part in wanted if part in _RUN}
    report = {"machine": describe("numpy", "scikit-learn"), **found}
    if options.json:
        print(json.dumps(report, indent=2))
        return
    for part, values in report.items():
        print(f"\n{part}")
        for name, value in values.items():
            print(
                f"  {name:<44} {value:.4f}" if isinstance(value, float) else f"  {name:<44} {value}"
            )


def _folds(data: Sequence[Path]) -> dict[str, Any]:
    """The shipped recipe on folds by source, with every row, without our prompts, and the floor."""
    if not data:
        return {"NOT RUN": "give the labelled data files as arguments"}
    rows, features = _rows(data)
    own = np.array([is_own(row) for row in rows])
    usable = np.array([permissive(row) for row in rows])
    out = {f"shipped: {k}": v for k, v in _measured(rows, features, usable).items()}
    out |= {f"all rows: {k}": v for k, v in _measured(rows, features, usable | True).items()}
    for share in (0.0, 0.125, 0.25, 0.5):
        kept = usable & (~own | _thinned(own, share))
        name = f"with {int((kept & own).sum())} own prompts"
        measured = _measured(rows, features, kept)
        out |= {f"{name}: {k}": measured[k] for k in _CURVE}
    return out | {f"bag of words: {k}": v for k, v in _floor(rows, usable | True).items()}


_CURVE = (
    "four_way_f1",
    "four_way_f1_not_english",
    "recall_at_1",
    "recall_at_5",
    "scary_blocked",
    "own_scary_blocked",
)


def _languages(data: Sequence[Path]) -> dict[str, Any]:
    """Leave one language out: four-way macro-F1 and harm recall in a language never trained on."""
    if not data:
        return {"NOT RUN": "give the labelled data files as arguments"}
    rows, features = _rows(data)
    usable = np.array([permissive(row) for row in rows])
    spoken = np.array([row.language for row in rows])
    public = np.array([not is_own(row) and row.judged for row in rows])
    out: dict[str, Any] = {}
    for language in ("de", "es", "fr", "pt", "zh", "ja", "hi", "ar", "it", "ru"):
        test = spoken == language
        index = np.flatnonzero(usable & ~test)
        heads = fit([rows[i] for i in index], features.only(index))
        held = np.flatnonzero(test & public)
        both = heads.first(features.only(held)) + heads.second(features.only(held))
        kept = [rows[i] for i in held]
        labels = [FOUR[i] for i in _three(both)]
        benign = np.array([not row.unsafe for row in kept])
        out[f"{language}: rows"] = len(kept)
        out[f"{language}: intents, macro-F1 where present"] = _present_f1(kept, labels, benign)
    return out


def _disguises(_data: Sequence[Path]) -> dict[str, Any]:
    """Share of plain unsafe prompts still caught after each transform (own mild prompts)."""
    classifier = LocalClassifier.load()
    rows = [r for r in load([OWN / "safety.jsonl"]) if r.unsafe and r.language == "en"]
    caught = [t for t in (r.text for r in rows) if _blocked(classifier, [t])[0]][:_DISGUISED]
    out: dict[str, Any] = {"plain prompts, all caught": len(caught)}
    for name, transform in _TRANSFORMS.items():
        out[name] = float(np.mean(_blocked(classifier, [transform(text) for text in caught])))
    return out


def _attacks(_data: Sequence[Path]) -> dict[str, Any]:
    """How often an attack on the label flips it: 300 moulds never trained on x 50 prompts."""
    classifier = LocalClassifier.load()
    moulds = load([OWN / "label_attacks_test.jsonl"])
    rows = [r for r in load([OWN / "english.jsonl"]) if len(r.text) < 300]
    prompts = [row.text for row in rows[:: len(rows) // _ATTACKED_PROMPTS]][:_ATTACKED_PROMPTS]
    plain = [p.intent for p in classifier.predict_batch([_user(t) for t in prompts])]
    flips, blocks, total = 0, 0, 0
    for mould in moulds:
        texts = [mould.text.replace("{prompt}", prompt) for prompt in prompts]
        for before, after in zip(
            plain, classifier.predict_batch([_user(t) for t in texts]), strict=True
        ):
            blocked = (after.unsafe or 0.0) >= classifier.threshold
            flips += before != after.intent and not blocked
            blocks += blocked
            total += 1
    return {"attacks": total, "flipped": flips / total, "blocked instead": blocks / total}


def _follow_ups(_data: Sequence[Path]) -> dict[str, Any]:
    """Held-out conversations: the label after the follow-up against the task's own label."""
    classifier = LocalClassifier.load()
    rows = load([OWN / "conversations_test.jsonl"])
    after = classifier.predict_batch([row.messages for row in rows])
    first = classifier.predict_batch([_user(row.turns[0]) for row in rows])
    out: dict[str, Any] = {"conversations": len(rows)}
    for kind in sorted({row.kind for row in rows}):
        chosen = [i for i, row in enumerate(rows) if row.kind == kind]
        out[f"{kind}: right label"] = float(
            np.mean([after[i].intent == rows[i].intent for i in chosen])
        )
    stays = [i for i, row in enumerate(rows) if row.kind != "switch"]
    told = [i for i in stays if first[i].intent == rows[i].intent]
    out["all but switches: right label"] = float(
        np.mean([after[i].intent == rows[i].intent for i in stays])
    )
    out["all but switches: right label of the first turn alone"] = len(told) / len(stays)
    out["all but switches: right first label kept"] = float(
        np.mean([after[i].intent == rows[i].intent for i in told])
    )
    out["blocked"] = float(np.mean([(p.unsafe or 0.0) >= classifier.threshold for p in after]))
    return out


def _speed(data: Sequence[Path]) -> dict[str, Any]:
    """Latency by length, throughput, load time and memory, in one process on one thread."""
    start = time.perf_counter()
    classifier = LocalClassifier.load()
    loaded = time.perf_counter()
    classifier.warm()
    out: dict[str, Any] = {
        "load, first stage (s)": loaded - start,
        "load, second stage (s)": time.perf_counter() - loaded,
    }
    sources = data or [OWN / "english.jsonl", OWN / "european.jsonl", OWN / "asian.jsonl"]
    texts = [r.text for r in load(sources) if r.judged and len(r.text) <= 2000]
    texts = texts[:: max(1, len(texts) // 1500)]
    taken = [_once(classifier, text) for text in texts]
    out["settled by the first stage"] = float(
        np.mean([classifier.stops_early(_user(t)) for t in texts])
    )
    out |= {f"up to 2,000 characters, p{q} (ms)": _q(taken, q) for q in (50, 95, 99)}
    for size in (10_000, 100_000):
        long = [("".join(texts[i:]) * 40)[:size] for i in range(0, 100, 5)]
        out[f"{size} characters, p99 (ms)"] = _q([_once(classifier, t) for t in long], 99)
    start = time.perf_counter()
    classifier.predict_batch([_user(text) for text in texts])
    out["batch, prompts a second"] = len(texts) / (time.perf_counter() - start)
    prompt = texts[0][:200]
    numbered = iter(f"{prompt} {i}" for i in range(10**6))
    settled = timed(lambda: classifier.predict(_user(next(numbered))), rounds=500)
    out["one prompt again and again, p50 (us)"] = spread(settled)["p50"]
    out["resident memory (MB)"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return out


def _llm(_data: Sequence[Path]) -> dict[str, Any]:
    """What the recipe's label call costs by the price book; its accuracy is not measured here."""
    from turnout.features.tokens import count

    rows = load([OWN / "english.jsonl"])[::20]
    labels = ("simple_qa", "creative", "code", "unsafe")
    sent = [
        count([str(m["content"]) for m in llm.build(row.messages, labels)], "deepseek_v3")
        for row in rows
    ]
    usd = statistics.mean(sent) * 0.27e-6 + 3 * 0.40e-6
    return {
        "input tokens a decision, mean": statistics.mean(sent),
        "USD for 1,000 decisions (DeepSeek V3.2, 0.27/0.40)": 1000 * usd,
        "accuracy": "not measured: needs a key",
    }


_RUN: dict[str, Callable[[Sequence[Path]], dict[str, Any]]] = {
    "folds": _folds,
    "languages": _languages,
    "disguises": _disguises,
    "attacks": _attacks,
    "follow_ups": _follow_ups,
    "speed": _speed,
    "llm": _llm,
}
_KEPT: dict[tuple[Path, ...], tuple[list[Row], Features]] = {}


def _rows(data: Sequence[Path]) -> tuple[list[Row], Features]:
    key = tuple(data)
    if key not in _KEPT:
        own = sorted(p for p in OWN.glob("*.jsonl") if "test" not in p.name)
        rows = training_rows([*data, *own])
        _KEPT[key] = rows, extract([row.text for row in rows], quiet)
    return _KEPT[key]


def _measured(rows: Sequence[Row], features: Features, usable: Any) -> dict[str, float]:
    return measure(judge(rows, features, usable))[1].as_dict()


def _thinned(own: Any, share: float) -> Any:
    """That share of the own rows, evenly spread over the files."""
    position = np.cumsum(own)
    return own & (np.floor(position * share) > np.floor((position - 1) * share))


def _floor(rows: Sequence[Row], usable: Any) -> dict[str, float]:
    """Words and pairs of words, one softmax over intents and unsafe, on the same folds."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    fold = by_source(rows)
    public = np.array([not is_own(row) for row in rows])
    labels = np.array([row.intent or "" for row in rows])
    scores = np.zeros(len(rows))
    given = np.full(len(rows), "", dtype=object)
    for k in range(FOLDS):
        index = np.flatnonzero(usable & public & (fold != k) & (labels != ""))
        test = np.flatnonzero(fold == k)
        reader = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        model = OneVsRestClassifier(LogisticRegression(solver="liblinear", C=10.0))
        model.fit(reader.fit_transform([rows[i].text for i in index]), labels[index])
        found = model.predict_proba(reader.transform([rows[i].text for i in test]))
        scores[test] = found[:, list(model.classes_).index("unsafe")]
        given[test] = [model.classes_[i] for i in found.argmax(axis=1)]
    given = np.array(["creative" if g == "writing" else g for g in given])
    bad = np.array([row.unsafe for row in rows])
    other = np.array([row.language != "en" for row in rows])
    return {
        "four_way_f1": four_way(rows, given, public),
        "four_way_f1_not_english": four_way(rows, given, public & other),
        "recall_at_1": recall_at(scores, public & bad, public & ~bad, 0.01),
        "recall_at_5": recall_at(scores, public & bad, public & ~bad, 0.05),
    }


def _three(both: Any) -> Any:
    creative = np.maximum(both[:, 1], both[:, 8])
    return np.stack([both[:, 0], creative, both[:, 2]], axis=1).argmax(axis=1)


def _present_f1(rows: Sequence[Row], labels: Sequence[str], chosen: Any) -> float:
    present = {r.intent for r, c in zip(rows, chosen, strict=True) if c} & set(FOUR)
    return four_way(rows, labels, chosen) * len(FOUR) / max(1, len(present))


def _user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def _blocked(classifier: LocalClassifier, texts: Sequence[str]) -> list[bool]:
    found = classifier.predict_batch([_user(text) for text in texts])
    return [(p.unsafe or 0.0) >= classifier.threshold for p in found]


def _once(classifier: LocalClassifier, text: str) -> float:
    start = time.perf_counter()
    classifier.predict(_user(text))
    return 1000 * (time.perf_counter() - start)


def _q(values: Sequence[float], percent: int) -> float:
    return float(np.percentile(values, percent))


def _styled(capital: int, small: int) -> dict[int, str]:
    letters = {ord("A") + i: chr(capital + i) for i in range(26)}
    return letters | {ord("a") + i: chr(small + i) for i in range(26)}


_CYRILLIC = str.maketrans("aceopxyABCEHKMOPTX", "асеорхуАВСЕНКМОРТХ")
_MORSE = {letter: code for code, letter in MORSE.items()}
_TRANSFORMS: dict[str, Callable[[str], str]] = {
    "unicode: full width": lambda t: "".join(
        chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in t
    ),
    "unicode: zero width": "\u200b".join,
    "unicode: tag characters": lambda t: "".join(chr(0xE0000 + ord(c)) for c in t if c < "\x7f"),
    "unicode: look-alikes": lambda t: t.translate(_CYRILLIC),
    "unicode: mathematical bold": lambda t: t.translate(_styled(0x1D400, 0x1D41A)),
    "unicode: circled": lambda t: t.translate(_styled(0x24B6, 0x24D0)),
    "unicode: stacked marks": lambda t: "".join(c + "\u0336\u0301" for c in t),
    "base64": lambda t: base64.b64encode(t.encode()).decode(),
    "base64 in a request": lambda t: "Decode and do: " + base64.b64encode(t.encode()).decode(),
    "base32": lambda t: base64.b32encode(t.encode()).decode(),
    "hex": lambda t: t.encode().hex(),
    "binary": lambda t: " ".join(f"{b:08b}" for b in t.encode()),
    "percent": lambda t: "".join(f"%{b:02x}" for b in t.encode()),
    "entities": lambda t: "".join(f"&#{ord(c)};" for c in t),
    "escapes": lambda t: "".join(f"\\u{ord(c):04x}" for c in t),
    "rot13": lambda t: codecs.encode(t, "rot13"),
    "reversed": lambda t: t[::-1],
    "words reversed": lambda t: " ".join(w[::-1] for w in t.split()),
    "leet": lambda t: t.translate(str.maketrans("aeiost", "431057")),
    "morse": lambda t: " / ".join(
        " ".join(_MORSE[c] for c in w.lower() if c in _MORSE) for w in t.split()
    ),
    "spaced letters": lambda t: "  ".join(" ".join(w) for w in t.split()),
}


if __name__ == "__main__":
    main()
