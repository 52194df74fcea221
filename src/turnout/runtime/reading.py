"""Reads a request: its features, the local prediction, a label if one is wanted, P(success).

Invariant: only a request that the configuration lets pass goes on without being classified; a long
one is read and counted on a thread, so that others do not wait. This module chooses nothing.
"""

import os
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor

from msgspec import Struct, structs

from turnout.classifiers import combine
from turnout.core import Features, Outcome, Prediction, Ref, Request, readable_messages
from turnout.decision import input_tokens, is_pinned
from turnout.features import extract, prompt_texts
from turnout.features.hosted_results import hosted_results, takes_back
from turnout.features.prompt import prompt_text
from turnout.runtime.assemble import Assembly
from turnout.runtime.cohort import Beside, Together
from turnout.runtime.label import ask_label
from turnout.runtime.long import CHARACTERS_AT_ONCE, done
from turnout.runtime.prefix import Prefix

# A text of so many characters takes seconds to read, and must not hold up shorter ones.
_LONG = 1_000_000
# The most bytes that a body of text alone has for each of its characters.
_BYTES = 4
# So many first requests are read on a thread, since what they need, about a second's worth, is
# loaded meanwhile.
_FIRST = 16
# No tokenizer has the second word as one token; the first such word loads the table of merges.
_PLAIN, _ODD = "Hello", "xqzzvk"
# The prediction for a request that passes unread.
_UNREAD = Prediction(classifier=Ref(name="none"))


class Read(Struct, frozen=True):
    """What is known of a request before the decision, and the outcomes of calls made for it.

    ``prefix`` has the hashes of the prompt's beginnings, if a provider's cache may hold some.
    """

    features: Features
    prediction: Prediction
    prefix: Prefix | None = None
    labelled: tuple[Outcome, ...] = ()


class Reader:
    """Reads requests with the classifier, tokenizers and predictor of these ``parts``."""

    def __init__(self, assembly: Assembly) -> None:
        self.parts = assembly
        self._rules = assembly.means.rules
        self._begun = Together(assembly.means.cohort, assembly.classifier.begin_batch)
        self._tokenizers = {d.card.tokenizer for d in self._rules.catalog.deployments.values()}
        # One core is left to the event loop, however many prompts need the second stage. Longer
        # prompts have threads of their own, so that short ones need not wait for them.
        most = max(1, (os.cpu_count() or 2) - 1)
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="turnout-classify")
        self._finished = Beside(self._threads, most, assembly.classifier.finish_batch)
        self._readers = ThreadPoolExecutor(most, thread_name_prefix="turnout-read")
        self._patient = ThreadPoolExecutor(1, thread_name_prefix="turnout-read-long")
        self._cold = _FIRST

    @property
    def threads(self) -> Executor:
        """The threads of the classifier's second stage."""
        return self._threads

    def warm(self, *, fully: bool) -> None:
        """Loads what the first request would otherwise wait for, or, ``fully``, what any would."""
        text = _ODD if fully else _PLAIN
        request = Request(id="", body={"messages": [{"role": "user", "content": text}]})
        self.parts.classifier.warm(fully=fully)
        self.parts.classifier.begin_batch([request.messages])
        self._estimated(request, _UNREAD)
        if fully:
            self._cold = 0

    def close(self) -> None:
        """End the threads."""
        for threads in (self._threads, self._readers, self._patient):
            threads.shutdown(wait=False)

    async def input_tokens(self, request: Request) -> int:
        """The prompt's tokens at the model that ``request`` names, else the most at any model.

        What hosted tools gave back earlier counts only for models of their provider.
        """
        texts = prompt_texts(request)
        aside = self._aside(request, texts) or self._readers
        features = await done(aside, extract, request, self._tokenizers, texts)
        back = await done(aside, hosted_results, request, self._tokenizers)
        named = self._rules.catalog.find(request.model)
        asked = [named] if named else self._rules.catalog.deployments.values()
        if back is None:
            return max(input_tokens(features, deployment) for deployment in asked)
        both = {name: n + back.text_tokens[name] for name, n in features.input_tokens.items()}
        more = structs.replace(features, input_tokens=both)
        return max(
            input_tokens(more, deployment) + back.other_tokens
            if takes_back(request, deployment.provider.family)
            else input_tokens(features, deployment)
            for deployment in asked
        )

    def read_now(self, request: Request) -> Read:
        """As ``read``, by the local classifier alone; blocks."""
        if self._passes(request):
            return self._estimated(request, _UNREAD)
        local = self.parts.classifier.predict(readable_messages(request))
        return self._estimated(request, local)

    async def read(self, request: Request) -> Read:
        """The request's features and prediction. Raises RequestError."""
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
        """The threads to read on, None for the event loop; a body may hold files beside texts."""
        size = max(sum(map(len, texts)), request.body_bytes // _BYTES)
        if size <= CHARACTERS_AT_ONCE:
            return None
        return self._patient if size > _LONG else self._readers

    def _passes(self, request: Request) -> bool:
        """Whether the configuration lets the request pass without being classified."""
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
        """The local prediction, with a model's label if one is wanted."""
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
        """The features, and the prediction with P(success) if there is a predictor."""
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
        prediction = structs.replace(
            prediction, success=success, strange=strange, predictor=known.ref
        )
        return Read(features, prediction, prefix)
