"""The local classifier: intents, harm and injection in one pass, on the CPU, without a network.

Two verdicts that never share a softmax: a calibrated distribution over benign intents, and
two safety scores. A cascade: what the first stage is sure of stops there, the rest is also
embedded. Does not know what is done with a prediction.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from pathlib import Path
from threading import Thread
from typing import Any, Self

import numpy as np

from turnout.classifiers.artefact import Artefact
from turnout.classifiers.asides import Asides
from turnout.classifiers.custom import CustomIntents, IntentSpec
from turnout.classifiers.encoder import SentenceEncoder
from turnout.classifiers.follows import Follows
from turnout.classifiers.grams import PIECES, grams
from turnout.classifiers.heads import Dense, Floats, Table, distribution, logistic, softmax
from turnout.classifiers.language import language_of
from turnout.classifiers.pieces import PieceTokenizer
from turnout.classifiers.views import is_plain, views
from turnout.classifiers.window import chunks, clipped, lone_prompt, window
from turnout.core import Message, Prediction, Ref

_DEEP = 4
_LEAST = 1e-30
_share = itemgetter(1)
HARM, INJECTION = -2, -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """When the first stage's verdict stands; all bounds were set on sources it never saw.

    ``sharpness`` calibrates its intents, ``harm`` and ``injection`` are added to its log-odds.
    It stands below ``unsafe`` with at least ``confidence``, and from ``certain`` on as a block.
    """

    sharpness: float
    harm: float
    injection: float
    confidence: float
    known: float
    unsafe: float
    certain: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A conversation after the first stage: log-odds of its last turns and of all it contains.

    ``turns`` are without their asides. ``turn_quick`` and ``chunk_quick`` are the log-odds where
    the first stage is asked alone.
    """

    turns: tuple[str, ...]
    contexts: tuple[str, ...]
    context_logits: Floats
    turn_logits: Floats
    turn_quick: Floats
    chunks: tuple[str, ...]
    chunk_logits: Floats
    chunk_quick: Floats
    known: float
    language: str


class LocalClassifier:
    """Predicts intents and safety of conversations in OpenAI's message shape."""

    def __init__(self, artefact: Artefact, custom: CustomIntents | None = None) -> None:
        self._artefact = artefact
        arrays, meta = artefact.arrays, artefact.meta
        self._tokenizer = _tokenizer(arrays)
        self._first = _table(arrays["rarity"], arrays["first_w"], arrays["first_b"])
        self._static = _table(arrays["static_rarity"], arrays["static_w"], arrays["static_b"])
        self._asides = _asides(arrays, meta["asides"])
        self._second = Dense(weights=arrays["second_w"], bias=arrays["second_b"])
        self._follows = Follows(weights=arrays["follow_w"], bias=float(arrays["follow_b"]))
        self._background = arrays["background"]
        self._custom = custom
        self._gate = Gate(**meta["gate"])
        self.intents: tuple[str, ...] = (*meta["intents"], *(custom.names if custom else ()))
        self.threshold: float = meta["threshold"]
        self.ref = Ref(name=meta["name"], version=meta["version"], digest=artefact.digest)
        self.card = artefact.card

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """The artefact at ``path``, or the shipped one. Raises ConfigError.

        The second stage begins to load beside it, and is waited for when it is first needed.
        """
        _loading()
        return cls(Artefact.load(path))

    def with_intents(self, specs: Sequence[IntentSpec]) -> Self:
        """The same classifier with intents of the user's own. Raises ConfigError."""
        custom = CustomIntents.fit(specs, self._background.astype(np.float32), self.embed)
        return type(self)(self._artefact, custom)

    def warm(self, *, fully: bool = True) -> None:
        """Loads both stages now, or the first one while the second loads beside it.

        Raises ConfigError.
        """
        self._tokenizer.compile()
        if fully:
            _encoder()

    def predict(self, messages: Sequence[Message]) -> Prediction:
        """The prediction for one conversation."""
        begun = self.begin(messages)
        return begun if isinstance(begun, Prediction) else self.finish(begun)

    def begin(self, messages: Sequence[Message]) -> Prediction | Reading:
        """The prediction where the first stage alone settles it, else what ``finish`` needs.

        A caller with an event loop leaves the second stage, milliseconds long, to a thread.
        """
        glance = self._at_a_glance(messages)
        if glance is not None:
            return glance
        reading = self._read(messages)
        return self._alone(reading) or reading

    def finish(self, reading: Reading) -> Prediction:
        """The prediction of both stages for what ``begin`` did not settle."""
        return self._examined(reading, self._embedded(_deep_texts(reading)))

    def predict_batch(self, conversations: Sequence[Sequence[Message]]) -> list[Prediction]:
        """Predictions in the order of ``conversations``."""
        readings = [self._read(messages) for messages in conversations]
        alone = [self._alone(reading) for reading in readings]
        unsure = [r for r, first in zip(readings, alone, strict=True) if first is None]
        vectors = self._embedded(text for reading in unsure for text in _deep_texts(reading))
        return [
            first or self._examined(reading, vectors)
            for reading, first in zip(readings, alone, strict=True)
        ]

    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors of the texts; a long one is read at both ends."""
        return _encoder().encode([self._tokenizer.ids(clipped(text)) for text in texts])

    def stops_early(self, messages: Sequence[Message]) -> bool:
        """Whether the first stage alone settles the conversation."""
        return isinstance(self.begin(messages), Prediction)

    def _at_a_glance(self, messages: Sequence[Message]) -> Prediction | None:
        """The prediction for one short prompt in plain words, if the first stage is sure of it.

        It equals what the longer way finds: such a prompt has one reading, one turn, one chunk.
        """
        text = lone_prompt(messages)
        if text is None or self._custom is not None or not is_plain(text):
            return None
        rows = self._rows(text)
        if self._asides.suspected(rows):
            return None
        first, known = self._first.read(rows)
        if known < self._gate.known:
            return None
        quick = first + self._more(rows)
        return self._sure(quick, quick[HARM], quick[INJECTION], text)

    def _read(self, messages: Sequence[Message]) -> Reading:
        seen = window(messages)
        turns = tuple(self._asked(clipped(turn)) for turn in seen.turns)
        parts = tuple(
            dict.fromkeys(c for s in seen.segments for view in views(s) for c in chunks(view))
        )
        read = dict.fromkeys((*turns, *seen.contexts, *parts))
        rows = {text: self._rows(text) for text in read}
        seen_first = {text: self._first.read(found) for text, found in rows.items()}
        logits = {text: found for text, (found, _) in seen_first.items()}
        quick = {text: logits[text] + self._more(found) for text, found in rows.items()}
        return Reading(
            turns=turns,
            contexts=seen.contexts,
            context_logits=_stacked(seen.contexts, logits),
            turn_logits=_stacked(turns, logits),
            turn_quick=_stacked(turns, quick),
            chunks=parts,
            chunk_logits=_stacked(parts, logits),
            chunk_quick=_stacked(parts, quick),
            known=seen_first[turns[-1]][1] if turns else 0.0,
            language=language_of(turns[-1]) if turns else "",
        )

    def _asked(self, text: str) -> str:
        """The text without what talks to the classifier."""
        suspected = self._asides.suspected(self._rows(text))
        return self._asides.without(text, self._rows) if suspected else text

    def _more(self, rows: Any) -> Floats:
        """What the first stage adds where it is asked alone; ``rows`` are sorted."""
        return self._static.of(rows[: rows.searchsorted(PIECES)])

    def _rows(self, text: str) -> Any:
        lowered = text.lower()
        return grams(self._tokenizer.ids(lowered), lowered)

    def _alone(self, reading: Reading) -> Prediction | None:
        """The first stage's prediction where it may stand alone, else None."""
        if not reading.chunks:
            return Prediction(classifier=self.ref)
        many = len(reading.turns) != 1 or self._custom is not None
        if many or reading.known < self._gate.known:
            return None
        harm, injection = reading.chunk_quick[:, HARM], reading.chunk_quick[:, INJECTION]
        return self._sure(reading.turn_quick[0], harm.max(), injection.max(), reading.turns[0])

    def _sure(
        self, turn: Floats, harm_odds: np.float32, injection_odds: np.float32, text: str
    ) -> Prediction | None:
        """The prediction from these log-odds if the gate lets it stand, else None."""
        gate = self._gate
        harm, injection = float(harm_odds + gate.harm), float(injection_odds + gate.injection)
        unsafe = max(harm, injection)
        if gate.unsafe < unsafe < gate.certain:
            return None
        intents = distribution(turn[:HARM].tolist(), gate.sharpness)
        if unsafe < gate.certain and max(intents) < gate.confidence:
            return None
        return Prediction(
            classifier=self.ref,
            intents=self._ranked(intents),
            harm=1.0 / (1.0 + math.exp(-harm)),
            injection=1.0 / (1.0 + math.exp(-injection)),
            language=language_of(text),
        )

    def _examined(self, reading: Reading, vectors: Mapping[str, Floats]) -> Prediction:
        """The prediction of both stages together."""
        row = {text: i for i, text in enumerate(reading.chunks)}
        worst = _worst(reading)
        deep = self._second.logits(np.stack([vectors[text] for text in worst]))
        deep = deep + reading.chunk_logits[[row[text] for text in worst]]
        scores = logistic(deep.max(axis=0)[HARM:])
        return Prediction(
            classifier=self.ref,
            intents=self._after_turns(reading, vectors),
            harm=float(scores[0]),
            injection=float(scores[1]),
            language=reading.language,
        )

    def _after_turns(
        self, reading: Reading, vectors: Mapping[str, Floats]
    ) -> tuple[tuple[str, float], ...]:
        """The distribution after the last turn: a follow-up keeps what was there before it."""
        if not reading.turns:
            return ()
        said = np.stack([vectors[text] for text in reading.turns])
        each = softmax((reading.turn_logits + self._second.logits(said))[:, :HARM])
        if self._custom is not None:
            each = self._custom.join(said, each)
        held = each[0]
        if reading.contexts:
            before = np.stack([vectors[text] for text in reading.contexts])
            seen = softmax((reading.context_logits + self._second.logits(before))[:, :HARM])
            follows = self._follows.probabilities(reading.turns[1:], said[1:], before)
            for own, answered, follow in zip(each[1:], seen, follows, strict=True):
                held = follow * _joined(held, answered) + (1.0 - follow) * own
        return self._ranked(held.tolist())

    def _ranked(self, shares: Iterable[float]) -> tuple[tuple[str, float], ...]:
        return tuple(sorted(zip(self.intents, shares, strict=True), key=_share, reverse=True))

    def _embedded(self, texts: Iterable[str]) -> dict[str, Floats]:
        # Of like length together, so that a batch holds little padding.
        unique = sorted(dict.fromkeys(texts), key=len)
        if not unique:
            return {}
        return dict(zip(unique, self.embed(unique), strict=True))


def _joined(held: Floats, answered: Floats) -> Floats:
    """The task's distribution; what was answered tells of it as much as how it was asked.

    ``held`` may have the user's intents behind the built-in ones, which keep their shares.
    """
    known = len(answered)
    task = np.sqrt(held[:known] * answered)
    task *= held[:known].sum() / max(float(task.sum()), _LEAST)
    return np.concatenate([task, held[known:]])


def _deep_texts(reading: Reading) -> tuple[str, ...]:
    """What the second stage reads of a conversation."""
    return (*reading.turns, *reading.contexts, *_worst(reading))


def _worst(reading: Reading) -> tuple[str, ...]:
    """The chunks that the first stage finds most unsafe."""
    if len(reading.chunks) <= _DEEP:
        return reading.chunks
    order = np.argsort(-reading.chunk_logits[:, HARM:].max(axis=1), kind="stable")
    return tuple(reading.chunks[i] for i in order[:_DEEP])


def _stacked(texts: Sequence[str], logits: Mapping[str, Floats]) -> Floats:
    return np.stack([logits[text] for text in texts]) if texts else np.zeros((0, 0), np.float32)


def _encoder() -> SentenceEncoder:
    return _loading().result()


@cache
def _loading() -> Future[SentenceEncoder]:
    """The second stage, on its way since the first call; unpacking it leaves other threads room."""
    loaded: Future[SentenceEncoder] = Future()

    def load() -> None:
        try:
            loaded.set_result(SentenceEncoder.load())
        except Exception as error:  # noqa: BLE001  (whoever asks for the result gets it)
            loaded.set_exception(error)

    Thread(target=load, name="turnout-encoder", daemon=True).start()
    return loaded


def _table(rarity: Any, weights: Any, bias: Any) -> Table:
    return Table(
        rarity=rarity.astype(np.float32),
        weights=weights,
        bias=np.asarray(bias, dtype=np.float32),
    )


def _asides(arrays: Mapping[str, Any], meta: Mapping[str, float]) -> Asides:
    table = _table(arrays["aside_rarity"], arrays["aside_w"], [meta["bias"]])
    return Asides(table=table, strong=meta["strong"], weak=meta["weak"], alarm=meta["alarm"])


def _tokenizer(arrays: Mapping[str, Any]) -> PieceTokenizer:
    pieces = arrays["pieces"].tobytes().decode().split("\n")
    return PieceTokenizer(pieces, arrays["scores"].tolist())
