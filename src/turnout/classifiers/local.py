"""The local classifier: intents, harm and injection in one pass, on the CPU, without a network.

There are two verdicts, which never share a softmax: a calibrated distribution over benign intents,
and two safety scores. There are two stages: what the first, a linear model, is sure of stops there;
the rest is also embedded. This module does not know what is done with a prediction.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Self

import numpy as np

from turnout.classifiers.artefact import Artefact
from turnout.classifiers.aside_filter import AsideFilter
from turnout.classifiers.asides import Asides, Embed, Unsure
from turnout.classifiers.custom import CustomIntents, IntentSpec
from turnout.classifiers.encoder import DIMENSIONS, shared_encoder
from turnout.classifiers.excerpts import Excerpter, Excerpts, Pieces, Reading, Unread
from turnout.classifiers.first import FirstRead, FirstStage
from turnout.classifiers.follows import FollowUpHead, Turns
from turnout.classifiers.gate import HARM, INJECTION, Gate
from turnout.classifiers.glance import Glance
from turnout.classifiers.heads import Dense, Hidden, Table, geometric_mean, logistic, softmax
from turnout.classifiers.language import language_of
from turnout.classifiers.one_thread import on_one_thread
from turnout.classifiers.openings import Openings
from turnout.classifiers.recall import Cut, CutCache, Recall
from turnout.classifiers.window import Window, clipped, window
from turnout.core import Message, Prediction, Ref
from turnout.core.arrays import Floats, Rows

# Log-odds of harm and injection that are subtracted from a sentence of a long text: there are a
# hundred of them, and none was written to be read alone. Chosen on sources not used in training.
# Instructions have the second subtracted, too.
_MARGIN = np.array((2.0, 3.0), dtype=np.float32)
# What the first stage makes of a conversation: a prediction, or what the second stage needs.
FirstVerdict = Prediction | Reading | Unread


class LocalClassifier:
    """Predicts intents and safety of conversations in OpenAI's message shape."""

    def __init__(
        self,
        artefact: Artefact,
        custom: CustomIntents | None = None,
        first: FirstStage | None = None,
    ) -> None:
        self._artefact = artefact
        arrays, meta = artefact.arrays, artefact.meta
        self._first = first or FirstStage(arrays)
        self._recall, self._cuts = Recall(self._first), CutCache()
        self._second = Dense(weights=arrays["second_w"], bias=arrays["second_b"])
        self._follow_up_head = FollowUpHead(
            weights=arrays["follow_w"], bias=float(arrays["follow_b"])
        )
        self._background = arrays["background"]
        self._custom = custom
        self._gate = Gate(**meta["gate"])
        self._excerpter = Excerpter(self._first, self._gate)
        self._openings = Openings(self._first, meta["intents"], self._gate.sharpness)
        self._aside_filter = AsideFilter(
            self._first, _asides_of(arrays, meta["asides"]), knows_all_intents=custom is None
        )
        self.intents: tuple[str, ...] = (*meta["intents"], *(custom.names if custom else ()))
        self.threshold: float = meta["threshold"]
        self.ref = Ref(name=meta["name"], version=meta["version"], digest=artefact.digest)
        self.card = artefact.card
        self._glance = Glance(
            self._first, self._aside_filter, self._openings, self._gate, self.ref, self.intents
        )

    @classmethod
    def load(cls, path: Path | None = None) -> Self:
        """The artefact at ``path``, or the shipped one. Raises ConfigError.

        The shipped one is read once a process. The second stage is loaded when it is first needed,
        or by ``warm``.
        """
        if path is not None:
            return cls(Artefact.load(path))
        artefact, first = _shipped()
        return cls(artefact, first=first)

    def with_intents(self, specs: Sequence[IntentSpec]) -> Self:
        """The same classifier with intents of the user's own. Raises ConfigError."""
        custom = CustomIntents.fit(specs, self._background.astype(np.float32), self.embed)
        return type(self)(self._artefact, custom, self._first)

    def warm(self, *, fully: bool = True) -> None:
        """Loads, if ``fully``, what the first answers can do without. Raises ConfigError.

        Compiling the tokenizer's splitter takes a third of a second in which nothing else runs.
        """
        if fully:
            self._first.tokenizer.compile()
            shared_encoder()

    def predict(self, messages: Sequence[Message]) -> Prediction:
        """The prediction for one conversation."""
        (found,) = self.predict_batch([messages])
        return found

    @on_one_thread
    def begin_batch(self, conversations: Sequence[Sequence[Message]]) -> list[FirstVerdict]:
        """For each its prediction if the first stage settles it, else an input of ``finish_batch``.

        A caller with an event loop leaves the second stage, which takes milliseconds, to a thread.
        """
        glances: Sequence[Prediction | None] = [None] * len(conversations)
        if self._custom is None:  # only an embedding recognises an intent of the user's own
            glances = self._glance.predictions(conversations)
        left = [m for m, glance in zip(conversations, glances, strict=True) if glance is None]
        verdicts = iter(self._first_verdicts(left) if left else ())
        return [next(verdicts) if glance is None else glance for glance in glances]

    def predict_batch(self, conversations: Sequence[Sequence[Message]]) -> list[Prediction]:
        """Predictions in the order of ``conversations``."""
        return self.finish_batch(self.begin_batch(conversations))

    @on_one_thread
    def finish_batch(self, readings: Sequence[FirstVerdict]) -> list[Prediction]:
        """The predictions for what ``begin_batch`` returned; settled ones stay as they are."""
        readings_or_predictions = [self._with_embeddings(each) for each in readings]
        excerpts_by_place = {
            i: self._excerpter.excerpts_of(r)
            for i, r in enumerate(readings_or_predictions)
            if isinstance(r, Reading)
        }
        needed = [pieces for excerpts in excerpts_by_place.values() for pieces in excerpts.all]
        vectors = self._recall.vectors_of(needed) if needed else {}
        return [
            self._second_verdict(first, excerpts_by_place[i], vectors)
            if isinstance(first, Reading)
            else first
            for i, first in enumerate(readings_or_predictions)
        ]

    def turns(self, messages: Sequence[Message]) -> Turns:
        """A conversation's turns with their labels, as ``FollowUpHead`` is trained on them.

        Raises InvalidRequest for a conversation without a turn.
        """
        reading = self._read(messages)
        excerpts = self._excerpter.excerpts_of(reading)
        return self._turns(reading, excerpts, self._recall.vectors_of(excerpts.all))

    @on_one_thread
    def embed(self, texts: Sequence[str]) -> Floats:
        """Unit vectors of the texts; a long one is read at both ends."""
        return shared_encoder().encode([self._first.tokenizer.ids(clipped(text)) for text in texts])

    def _first_verdicts(self, conversations: Sequence[Sequence[Message]]) -> list[FirstVerdict]:
        """What the first stage makes of each; what it reads of all is read together."""
        views = [window(messages) for messages in conversations]
        rows = self._first.rows_by_text([clip for view in views for clip in view.clips])
        drafts = [self._draft_if_sure(view, rows) for view in views]
        reads = iter(self._recall.read_each([list(d.place) for d in drafts if d is not None], rows))
        return [
            Unread(messages=messages)
            if draft is None
            else self._verdict(self._reading(draft, next(reads)))
            for messages, draft in zip(conversations, drafts, strict=True)
        ]

    def _with_embeddings(self, verdict: FirstVerdict) -> Prediction | Reading:
        """What was begun; if it lacked the embedding of a clause, it is read again with one."""
        if not isinstance(verdict, Unread):
            return verdict
        return self._verdict(self._read(verdict.messages))

    def _verdict(self, reading: Reading) -> Prediction | Reading:
        return self._settled(reading) or reading

    def _read(self, messages: Sequence[Message]) -> Reading:
        """The conversation after the first stage, with embeddings of clauses that need one."""
        view = window(messages)
        rows = self._first.rows_by_text(view.clips)
        draft = self._draft(view, rows, self.embed)
        return self._reading(draft, self._recall.read(list(draft.place), rows))

    def _draft_if_sure(self, view: Window, rows: Mapping[str, Rows]) -> "_Draft | None":
        """The draft, None if it needs the embedding of a clause."""
        try:
            return self._draft(view, rows)
        except Unsure:
            return None

    def _draft(
        self, view: Window, rows: Mapping[str, Rows], embed: Embed | None = None
    ) -> "_Draft":
        """What is to be read of a conversation, given the rows of its turns' clips."""
        turns, contexts = self._requests_and_contexts(view, rows, embed)
        cuts = self._cuts.cuts_of(view.segments)
        parts = tuple(dict.fromkeys(part for cut in cuts for part in cut.stretches))
        distinct = set(parts)
        chunks = (
            *parts,
            *dict.fromkeys(s for cut in cuts for s in cut.sentences if s not in distinct),
        )
        place: dict[str, int] = {}
        for text in chain(turns, contexts, chunks):
            place.setdefault(text, len(place))
        return _Draft(
            turns=turns,
            contexts=contexts,
            chunks=chunks,
            whole_chunks=len(parts),
            of_instructions=_instruction_places(parts, view, cuts) if view.instructions else [],
            place=place,
        )

    def _reading(self, draft: "_Draft", read: FirstRead) -> Reading:
        turns, contexts, place = draft.turns, draft.contexts, draft.place
        of_turns = _positions(turns, place)
        of_chunks = np.array(_positions(draft.chunks, place), dtype=np.intp)
        logits, quick = read.logits[of_chunks], read.quick[of_chunks]
        for odds in (logits, quick):
            odds[draft.whole_chunks :, HARM:] -= _MARGIN
            if draft.of_instructions:
                # Orders are what instructions are made of, and those of an application are its own.
                odds[draft.of_instructions, INJECTION] -= _MARGIN[INJECTION]
        known = float(read.known[of_turns[-1]]) if turns else 0.0
        first_may_decide = len(turns) == 1 and self._custom is None and known >= self._gate.known
        return Reading(
            turns=turns,
            contexts=contexts,
            context_logits=read.logits[_positions(contexts, place)],
            turn_logits=read.logits[of_turns],
            quick_intents=self._openings.quick_intents(read.quick[of_turns[0]].tolist(), turns[0])
            if first_may_decide
            else None,
            chunks=draft.chunks,
            whole_chunks=draft.whole_chunks,
            chunk_logits=logits,
            chunk_quick=quick,
            language=language_of(turns[-1]) if turns else "",
        )

    def _requests_and_contexts(
        self, view: Window, rows: Mapping[str, Rows], embed: Embed | None
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The turns without their asides, and what was said between them.

        An earlier turn that is nothing but asides is left out: no later turn can follow up on it.
        """
        clips = [(clip, rows[clip]) for clip in view.clips]
        only_asides = [self._aside_filter.is_only_asides(*clip) for clip in clips[:-1]]
        kept = [i for i, is_only in enumerate(only_asides) if not is_only]
        contexts = tuple(view.contexts[i] for i in kept)
        kept += range(len(only_asides), len(clips))
        requests = [
            self._aside_filter.request_text(*clips[i], embed, whole=clips[i][0] == view.turns[i])
            for i in kept
        ]
        return tuple(requests), contexts

    def _settled(self, reading: Reading) -> Prediction | None:
        """The first stage's prediction if it needs no second stage, else None."""
        if not reading.chunks:
            return Prediction(classifier=self.ref)
        if reading.quick_intents is None:
            return None
        # The worst of many stretches looks so much worse by chance. Disguised text is there twice,
        # as it came and decoded.
        margin = math.log(max(reading.whole_chunks / 2, 1.0))
        worst = self._gate.safety_odds(reading.chunk_quick).max(axis=0)
        return self._glance.settled_prediction(
            reading.quick_intents, worst.tolist(), reading.turns[0], margin
        )

    def _second_verdict(
        self, reading: Reading, excerpts: Excerpts, vectors: Mapping[Pieces, Floats]
    ) -> Prediction:
        """The prediction of both stages together."""
        deep = self._second.logits(_vectors_of(vectors, excerpts.suspects))
        odds = (deep + reading.chunk_logits[excerpts.suspect_places])[:, HARM:]
        # A sentence by itself counts only if it blocks; otherwise its surroundings tell more.
        alone = np.array(excerpts.suspect_places) >= reading.whole_chunks
        odds[alone & (odds.max(axis=1) <= 0.0)] = -np.inf
        scores = logistic(odds.max(axis=0))
        return Prediction(
            classifier=self.ref,
            intents=self._final_intents(reading, excerpts, vectors),
            harm=float(scores[0]),
            injection=float(scores[1]),
            language=reading.language,
        )

    def _final_intents(
        self, reading: Reading, excerpts: Excerpts, vectors: Mapping[Pieces, Floats]
    ) -> tuple[tuple[str, float], ...]:
        """The intents after the last turn: a follow-up keeps those of the turn before it."""
        if not reading.turns:
            return ()
        if (
            reading.quick_intents is not None
            and max(reading.quick_intents) >= self._gate.confidence
        ):
            # Safety alone needed the second stage; the intent is settled.
            return self._glance.ranked_intents(reading.quick_intents)
        turns = self._turns(reading, excerpts, vectors)
        return self._glance.ranked_intents(self._follow_up_head.final_intents(turns).tolist())

    def _turns(
        self, reading: Reading, excerpts: Excerpts, vectors: Mapping[Pieces, Floats]
    ) -> Turns:
        turn_vectors = _vectors_of(vectors, excerpts.turns)
        context_vectors = _vectors_of(vectors, excerpts.contexts)
        turn_intents = softmax((reading.turn_logits + self._second.logits(turn_vectors))[:, :HARM])
        if self._custom is not None:
            turn_intents = self._custom.with_own_intents(turn_vectors, turn_intents)
        for i, text in enumerate(reading.turns):
            by_opening = self._openings.intents_by_opening(text)
            if by_opening is not None:
                turn_intents[i] = geometric_mean(turn_intents[i], by_opening)
        context_intents = softmax(
            (reading.context_logits + self._second.logits(context_vectors))[:, :HARM]
        )
        return Turns(
            texts=reading.turns,
            turn_vectors=turn_vectors,
            turn_intents=turn_intents,
            context_vectors=context_vectors,
            context_intents=context_intents,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A ``Reading`` before the first stage: ``place`` has each text to read, and its place.

    ``of_instructions`` are places of the chunks that only the application's instructions hold.
    """

    turns: tuple[str, ...]
    contexts: tuple[str, ...]
    chunks: tuple[str, ...]
    whole_chunks: int
    of_instructions: Sequence[int]
    place: Mapping[str, int]


@cache
def _shipped() -> tuple[Artefact, FirstStage]:
    artefact = Artefact.load()
    return artefact, FirstStage(artefact.arrays)


def _instruction_places(parts: Sequence[str], view: Window, cuts: Sequence[Cut]) -> list[int]:
    """Places of the parts that stand in the application's instructions and nowhere else."""
    of_others = {
        part
        for segment, cut in zip(view.segments, cuts, strict=True)
        if segment not in view.instructions
        for part in cut.stretches
    }
    return [i for i, part in enumerate(parts) if part not in of_others]


def _vectors_of(vectors: Mapping[Pieces, Floats], excerpts: Sequence[Pieces]) -> Floats:
    return np.array([vectors[pieces] for pieces in excerpts], np.float32).reshape(-1, DIMENSIONS)


def _positions(texts: Sequence[str], place: Mapping[str, int]) -> list[int]:
    return [place[text] for text in texts]


def _asides_of(arrays: Mapping[str, Any], meta: Mapping[str, Any]) -> Asides:
    table = Table.of_arrays(arrays["aside_rarity"], arrays["aside_w"], meta["bias"])
    call_off_head = aside_head = None
    if "aside_meaning" in arrays:
        bias = np.asarray(meta["meaning"], dtype=np.float32)
        call_off_head = Dense(weights=arrays["aside_meaning"], bias=bias)
    if "aside_inner_w" in arrays:
        inner, outer = (
            Dense(weights=arrays[f"aside_{name}_w"], bias=arrays[f"aside_{name}_b"])
            for name in ("inner", "outer")
        )
        aside_head = Hidden(inner=inner, outer=outer)
    return Asides(
        table=table, alarm=meta["alarm"], call_off_head=call_off_head, aside_head=aside_head
    )
