"""The local classifier: intents, harm and injection in one pass, on the CPU, without a network.

Two verdicts that never share a softmax: a calibrated distribution over benign intents, and
two safety scores. Does not know what is done with either.
"""

from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any, Self

import numpy as np

from turnout.classifiers.artefact import Artefact
from turnout.classifiers.encoder import SentenceEncoder
from turnout.classifiers.heads import Choice, Floats, Score
from turnout.classifiers.language import language_of
from turnout.classifiers.pieces import PieceTokenizer
from turnout.classifiers.window import Window, window
from turnout.core import Message, Prediction, Ref

_EDGE = 600
_SEGMENTS = 24


class LocalClassifier:
    """Predicts intents and safety of conversations in OpenAI's message shape."""

    def __init__(self, artefact: Artefact, encoder: SentenceEncoder) -> None:
        arrays, meta = artefact.arrays, artefact.meta
        self._encoder = encoder
        self._tokenizer = _tokenizer(arrays)
        self._intent = Choice(weights=arrays["intent_w"], bias=arrays["intent_b"])
        self._harm = _score(arrays, "harm")
        self._injection = _score(arrays, "injection")
        self._follow = _score(arrays, "follow")
        self.intents: tuple[str, ...] = tuple(meta["intents"])
        self.threshold: float = meta["threshold"]
        self.ref = Ref(name=meta["name"], version=meta["version"], digest=artefact.digest)
        self.card = artefact.card

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """The artefact at ``path``, or the shipped one. Raises ConfigError."""
        return cls(Artefact.load(path), _encoder())

    def predict(self, messages: Sequence[Message]) -> Prediction:
        """The prediction for one conversation."""
        return self.predict_batch([messages])[0]

    def predict_batch(self, conversations: Sequence[Sequence[Message]]) -> list[Prediction]:
        """Predictions in the order of ``conversations``."""
        windows = [window(messages) for messages in conversations]
        texts = [text for w in windows for text in (*w.turns, *spread(w.segments))]
        unique = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        vectors = self.embed(list(unique))
        return [self._prediction(w, unique, vectors) for w in windows]

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors of the texts; a long one is read at both ends."""
        return self._encoder.encode([self._tokenizer.ids(clipped(text)) for text in texts])

    def _prediction(self, read: Window, rows: dict[str, int], vectors: Floats) -> Prediction:
        if not read.segments:
            return Prediction(classifier=self.ref)
        turns = vectors[[rows[text] for text in read.turns]]
        seen = vectors[[rows[text] for text in spread(read.segments)]]
        return Prediction(
            classifier=self.ref,
            intents=self._ranked(turns),
            harm=float(self._harm.values(seen).max()),
            injection=float(self._injection.values(seen).max()),
            language=language_of(read.turns[-1] if read.turns else read.segments[-1]),
        )

    def _ranked(self, turns: Floats) -> tuple[tuple[str, float], ...]:
        """The distribution after the last turn: a follow-up keeps what was there before it."""
        if not len(turns):
            return ()
        each = self._intent.probabilities(turns).astype(float)
        follows = self._follow.values(turns).astype(float)
        steps = zip(each, follows, strict=True)
        *_, last = accumulate(steps, lambda before, now: (_mixed(before[0], now), now[1]))
        order = np.argsort(-last[0], kind="stable")
        return tuple((self.intents[i], float(last[0][i])) for i in order)


def _mixed(before: Any, now: tuple[Any, float]) -> Any:
    own, follows = now
    return follows * before + (1.0 - follows) * own


def clipped(text: str) -> str:
    """A long text's two ends: where the instruction usually stands."""
    return text if len(text) <= 2 * _EDGE else text[:_EDGE] + "\n" + text[-_EDGE:]


def spread(segments: Sequence[str]) -> tuple[str, ...]:
    """Segments in pieces short enough to be read whole; evenly thinned where there are many."""
    step = 2 * _EDGE
    pieces = [s[i : i + step] for s in segments for i in range(0, len(s), step)]
    if len(pieces) <= _SEGMENTS:
        return tuple(pieces)
    kept = np.linspace(0, len(pieces) - 1, _SEGMENTS).astype(int)
    return tuple(pieces[i] for i in kept)


@cache
def _encoder() -> SentenceEncoder:
    return SentenceEncoder.load()


def _tokenizer(arrays: Any) -> PieceTokenizer:
    pieces = arrays["pieces"].tobytes().decode().split("\n")
    return PieceTokenizer(pieces, arrays["scores"].tolist())


def _score(arrays: Any, name: str) -> Score:
    return Score(weights=arrays[f"{name}_w"], bias=float(arrays[f"{name}_b"]))
