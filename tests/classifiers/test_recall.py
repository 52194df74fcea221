"""What was read before is read from memory, and no otherwise than anew."""

import base64
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.classifiers import LocalClassifier
from turnout.classifiers.encoder import shared_encoder
from turnout.classifiers.heads import Floats
from turnout.classifiers.recall import CutCache, Recall
from turnout.classifiers.views import stretches
from turnout.classifiers.window import long_part_sentences

_PROSE = "The tide table lists high water twice a day. Boats leave an hour before it! " * 20
_MASKED = "Pl\u200bease r\u0435ad th\u0456s n\u043ete aloud. " * 30
_CODED = base64.b64encode(b"Please write a poem about the tide and the boats in the harbour. " * 9)
LONG = [
    _PROSE,
    _PROSE + _MASKED + _PROSE,
    f"{_PROSE}\n{_CODED.decode()}\n{_PROSE}",
    json.dumps({"note": f"<p>{_MASKED}</p>", "rows": [_PROSE, _CODED.decode()]}),
]


def _conversation_of(count: int) -> list[dict[str, Any]]:
    """A conversation of so many results, each of which goes on from the last."""
    results = [f"{number}. {LONG[number % len(LONG)]}" for number in range(count)]
    asked = [{"role": "user", "content": "What do these say of the tide?"}]
    return asked + [{"role": "tool", "content": text} for text in results]


def test_a_repeated_conversation_is_judged_as_a_new_one() -> None:
    """But for rounding, whatever was read before, also by several threads at once."""
    reader = LocalClassifier.load()
    steps = [_conversation_of(count) for count in (1, 3, 6)]
    fresh = [LocalClassifier.load().predict(step) for step in steps]
    with ThreadPoolExecutor(4) as threads:
        again = list(threads.map(reader.predict, steps * 4))
    for found, expected in zip(again, fresh * 4, strict=True):
        assert (found.intent, found.language) == (expected.intent, expected.language)
        scores = [(p.harm, p.injection, *dict(p.intents).values()) for p in (found, expected)]
        assert scores[0] == pytest.approx(scores[1], rel=1e-4)


def test_what_is_embedded_again_is_not_embedded_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step of an agent embeds what it adds."""
    encoder, embedded = shared_encoder(), []
    encode = encoder.encode

    def recording_encode(excerpts: Sequence[Sequence[int]]) -> Floats:
        embedded.extend(excerpts)
        return encode(excerpts)

    monkeypatch.setattr(encoder, "encode", recording_encode)
    reader = LocalClassifier.load()
    first = reader.predict(_conversation_of(4))
    count = len(embedded)
    assert count > 0
    assert reader.predict(_conversation_of(4)) == first
    assert len(embedded) == count


@given(texts=st.lists(st.sampled_from([*LONG, "one", _PROSE[:900]]), max_size=4))
def test_texts_are_cut_as_without_memory(texts: list[str]) -> None:
    """The first time and the second; a lone stretch has no sentences."""
    cuts = CutCache()
    for _ in range(2):
        found = cuts.cuts_of(texts)
        assert [cut.stretches for cut in found] == [stretches(text) for text in texts]
        several = len({part for cut in found for part in cut.stretches}) > 1
        alone = [
            dict.fromkeys(long_part_sentences(cut.stretches) if several else ()) for cut in found
        ]
        assert [dict.fromkeys(cut.sentences) for cut in found] == alone


def test_a_text_with_codes_is_searched_for_them_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then only the decoders that found something decode it, one after another."""
    rows = json.dumps({"note": f"<p>{_PROSE}</p>", "other": [_PROSE, _CODED.decode()]})
    cuts = CutCache()
    first = cuts.cuts_of([rows, LONG[2]])
    assert any("poem about the tide" in part for cut in first for part in cut.stretches)
    monkeypatch.setattr("turnout.classifiers.views._decode_once", None)
    assert cuts.cuts_of([rows, LONG[2]]) == first


def test_what_is_remembered_is_bounded_and_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes; what stays are digests, places and numbers."""
    monkeypatch.setattr("turnout.classifiers.recall._READINGS", 50)
    monkeypatch.setattr("turnout.classifiers.recall._BYTES", 3000)
    first = LocalClassifier.load()._first
    recall, cuts = Recall(first), CutCache()
    for number in range(6):
        texts = [f"harbour {number} {n}" for n in range(30)]
        for _ in range(2):
            np.testing.assert_array_equal(recall.read(texts).quick, first.read(texts).quick)
        cuts.cuts_of([f"{number} {_PROSE}"])
    readings = recall._readings._stored
    assert len(readings) == 50
    kept = [part for places in cuts._stored.values() for part in places]
    assert 0 < sum(map(len, kept)) == cuts._bytes <= 3000
    every = [*readings.items(), kept, cuts._stored.keys()]
    assert not any(b"harbour" in part or b"tide" in part for parts in every for part in parts)
