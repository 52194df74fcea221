"""What is observed (features) and what is estimated (predictions) about a request.

Invariant: facts and estimates are data; nothing here chooses.
This module does not know models, prices or how the values came about.
"""

from collections.abc import Mapping
from math import isnan
from typing import Literal, get_args

from msgspec import Struct, field

UNSAFE = "unsafe"

# What a call is for: a person's turn, a step of a tool loop, a sub-agent's work, or something that
# a program asks on its own account, such as a title or a summary.
CallKind = Literal["turn", "tool_step", "sub_agent", "background"]
CALL_KINDS: tuple[CallKind, ...] = get_args(CallKind)


class Ref(Struct, frozen=True, kw_only=True):
    """Names what produced a value, so that it can be created again: name, version, digest."""

    name: str
    version: str = "1"
    digest: str = ""


class Features(Struct, frozen=True, kw_only=True):
    """Facts about a request.

    ``input_tokens`` counts the prompt by tokenizer name; ``modalities`` are among ``text``,
    ``image``, ``audio``, ``video`` and ``file``. ``output_tokens`` is the expected length of the
    answer, and ``written`` that of particular models, by model id. ``uncounted`` is how many tokens
    files, sound, video and hosted tools may take beyond what was counted for them, None where that
    is unknown.
    ``hosted`` are the types of tools and items that only OpenAI's Responses can carry;
    ``paid_by_call`` says that one of them costs more than its tokens. ``kind`` is what the call is
    for, ``answers`` the number of answers in the conversation so far. ``marked`` says that the
    prompt marks parts that its provider is to cache, ``hour_cache`` that some may be cached for an
    hour. ``searches`` is the most that Anthropic's tools may search for it, None if there is no
    limit; ``wants_audio`` says that the answer is to have sound. ``unlisted`` has, for each family
    at which the request costs more than price lists say, the field that says so.
    """

    input_tokens: Mapping[str, int]
    output_tokens: int
    turns: int = 1
    characters: int = 0
    modalities: frozenset[str] = frozenset({"text"})
    needs_tools: bool = False
    needs_json: bool = False
    schema: str = "1"
    written: Mapping[str, int] = field(default_factory=dict)
    hour_cache: bool = False
    hosted: tuple[str, ...] = ()
    paid_by_call: bool = False
    kind: CallKind = "turn"
    uncounted: int | None = 0
    marked: bool = False
    answers: int = 0
    searches: int | None = 0
    wants_audio: bool = False
    unlisted: Mapping[str, str] = field(default_factory=dict)


class Prediction(Struct, frozen=True, kw_only=True):
    """Estimates about a request.

    ``intents`` is a calibrated distribution over benign intents, most likely first. ``harm`` and
    ``injection`` in [0, 1] are safety scores, None where there is no verdict, which blocks.
    ``label`` is the answer of a label classifier (None: not asked, missing or garbled), and
    ``label_failure`` says why it is missing. ``success`` maps a model to P(it answers well), and
    ``strange`` in [0, 1] is how unlike the predictor's training data the request is, by
    ``predictor``, the bundle that was asked; both are None without one.
    """

    classifier: Ref
    intents: tuple[tuple[str, float], ...] = ()
    harm: float | None = None
    injection: float | None = None
    language: str = ""
    label: str | None = None
    label_failure: str | None = None
    success: Mapping[str, float] = field(default_factory=dict)
    strange: float | None = None
    predictor: Ref | None = None

    @property
    def unsafe(self) -> float | None:
        """The larger of harm and injection, which a threshold blocks; None without a verdict.

        A score that is no number counts as 1.
        """
        harm, injection = _counted(self.harm), _counted(self.injection)
        if harm is None or injection is None:
            return injection if harm is None else harm
        return max(harm, injection)

    @property
    def intent(self) -> str | None:
        """The most likely benign intent, or None where the classifier gave none."""
        return self.intents[0][0] if self.intents else None

    @property
    def confidence(self) -> float:
        """Probability of the most likely benign intent, 0 where there is none."""
        return self.intents[0][1] if self.intents else 0.0


def _counted(score: float | None) -> float | None:
    return 1.0 if score is not None and isnan(score) else score


# That of a request for embeddings: there is no label to choose, and a vector cannot do harm.
EMBEDDING = Prediction(classifier=Ref(name="none"), label="embedding", harm=0.0)
