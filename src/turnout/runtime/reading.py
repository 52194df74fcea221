"""Reads a request: facts, the local verdict, a label where one is asked for, predicted success.

Invariant: a request that goes on without being read is one that the configuration lets pass; a long
one is read and counted beside the event loop, so that others do not wait. Chooses nothing.
"""

import os
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

from msgspec import Struct, structs

from turnout.classifiers import combine
from turnout.core import Features, Outcome, Prediction, Ref, Request, readable_messages
from turnout.decision import input_tokens, is_pinned
from turnout.features import extract, prompt_texts
from turnout.features.prompt import prompt_text
from turnout.features.untold import goes_back, untold
from turnout.runtime.assemble import Assembly
from turnout.runtime.cohort import Beside, Together
from turnout.runtime.label import ask_label
from turnout.runtime.long import CHARACTERS_AT_ONCE, done
from turnout.runtime.prefix import Prefix

# Characters of which seconds of reading would hold up prompts that take less.
_LONG = 1_000_000
# Of a body for each character that is read of it, at most where it holds text alone.
_BYTES = 4
# So many requests are read on a thread at first: what they need is loaded meanwhile, which takes
# a second in all.
_FIRST = 16
# No tokenizer has this word whole; how words are joined of parts is loaded with the first such one.
_PLAIN, _ODD = "Hello", "xqzzvk"
# What is estimated of a request that passes unread.
_UNREAD = Prediction(classifier=Ref(name="none"))


class Read(Struct, frozen=True):
    """What is known of a request before the decision, and the calls that helped to know it.

    ``prefix`` are the prompt's beginnings, where a provider's cache may hold some of them.
    """

    features: Features
    prediction: Prediction
    prefix: Prefix | None = None
    labelled: tuple[Outcome, ...] = ()


class Reader:
    """Reads requests for the router of these ``parts``."""

    def __init__(self, assembly: Assembly) -> None:
        self.parts = assembly
        self._rules = assembly.means.rules
        self._begun = Together(assembly.means.cohort, assembly.classifier.begin_batch)
        self._tokenizers = {d.card.tokenizer for d in self._rules.catalog.deployments.values()}
        # One core stays with the event loop, however many prompts need the second stage. That and
        # longer prompts have threads of their own: who takes little waits for none who takes more.
        most = max(1, (os.cpu_count() or 2) - 1)
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="turnout-classify")
        self._finished = Beside(self._threads, most, assembly.classifier.finish_batch)
        self._readers = ThreadPoolExecutor(most, thread_name_prefix="turnout-read")
        self._patient = ThreadPoolExecutor(1, thread_name_prefix="turnout-read-long")
        self._cold = _FIRST

    @property
    def threads(self) -> Executor:
        """Where the second stage reads."""
        return self._threads

    def warm(self, *, fully: bool) -> None:
        """Loads what the first request would otherwise wait for, or all that any would."""
        text = _ODD if fully else _PLAIN
        request = Request(id="", body={"messages": [{"role": "user", "content": text}]})
        self.parts.classifier.warm(fully=fully)
        self.parts.classifier.begin_batch([request.messages])
        self._estimated(request, _UNREAD)
        if fully:
            self._cold = 0

    def close(self) -> None:
        """Nothing more will be read."""
        for threads in (self._threads, self._readers, self._patient):
            threads.shutdown(wait=False)

    async def input_tokens(self, request: Request) -> int:
        """The prompt's tokens at the model ``request`` names, else at the one that counts most.

        What tools at a provider gave back earlier counts at that provider's models alone.
        """
        texts = prompt_texts(request)
        aside = self._aside(request, texts) or self._readers
        features = await done(aside, extract, request, self._tokenizers, texts)
        back = await done(aside, untold, request, self._tokenizers)
        named = self._rules.catalog.find(request.model)
        asked = [named] if named else self._rules.catalog.deployments.values()
        if back is None:
            return max(input_tokens(features, deployment) for deployment in asked)
        both = {name: n + back.texts[name] for name, n in features.input_tokens.items()}
        more = structs.replace(features, input_tokens=both)
        return max(
            input_tokens(more, deployment) + back.others
            if goes_back(request, deployment.provider.family)
            else input_tokens(features, deployment)
            for deployment in asked
        )

    def read_now(self, request: Request) -> Read:
        """As ``read``, blocking, by the local classifier alone."""
        if self._passes(request):
            return self._estimated(request, _UNREAD)
        local = self.parts.classifier.predict(readable_messages(request))
        return self._estimated(request, local)

    async def read(self, request: Request) -> Read:
        """Facts and estimates."""
        texts = prompt_texts(request)
        aside = self._aside(request, texts)
        if aside is None and self._cold:
            self._cold -= 1
            aside = self._readers
        labelled: tuple[Outcome, ...] = ()
        prediction = _UNREAD
        if not self._passes(request):
            local = await self._local(request, aside)
            prediction, labelled = await self._labelled(request, local)
        if aside is None:
            known = self._estimated(request, prediction, texts)
        else:
            known = await done(aside, self._estimated, request, prediction, texts)
        return structs.replace(known, labelled=labelled) if labelled else known

    def _aside(self, request: Request, texts: Sequence[str]) -> Executor | None:
        """Where a request of these texts is read, if not here; a body may hold files beside."""
        size = max(sum(map(len, texts)), request.body_bytes // _BYTES)
        if size <= CHARACTERS_AT_ONCE:
            return None
        return self._patient if size > _LONG else self._readers

    def _passes(self, request: Request) -> bool:
        """Whether the request goes on without being read, as the configuration has it."""
        return not self._rules.safety.pinned and is_pinned(request, self._rules)

    async def _local(self, request: Request, aside: Executor | None) -> Prediction:
        classifier = self.parts.classifier
        if aside is not None:
            return await done(aside, lambda: classifier.predict(readable_messages(request)))
        begun = await self._begun.of(readable_messages(request))
        if isinstance(begun, Prediction):
            return begun
        return await self._finished.of(begun)

    async def _labelled(
        self, request: Request, local: Prediction
    ) -> tuple[Prediction, tuple[Outcome, ...]]:
        """The local verdict, together with a model's label where one is wanted."""
        asked = self.parts.asked
        if asked is None or not asked.wanted(local, self._rules.safety):
            return local, ()
        closed = self.parts.closed().get(asked.deployment.id)
        if closed:
            return combine(local, None, f"not asked: {closed}"), ()
        label, why, outcome = await ask_label(request, asked, self.parts.means)
        return combine(local, label, why), (outcome,) if outcome else ()

    def _estimated(
        self, request: Request, prediction: Prediction, texts: Sequence[str] | None = None
    ) -> Read:
        """Facts, and the verdict with predicted success where there is a predictor."""
        features = extract(request, self._tokenizers, texts)
        caches, known = self.parts.means.caches, self.parts.success
        prefix = caches.prefix(request) if caches is not None else None
        if known is None:
            return Read(features, prediction, prefix)
        text = prompt_text(request)
        success, strange = known.predictor.judge(text)
        if known.lengths is not None:
            quantile = self.parts.config.policy.output_quantile
            written = known.lengths.tokens(text, quantile, request.max_output_tokens)
            features = structs.replace(features, written=written)
        prediction = structs.replace(prediction, success=success, strange=strange)
        return Read(features, prediction, prefix)
