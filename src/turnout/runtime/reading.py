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
from turnout.runtime.classifier_setup import LabelModel
from turnout.runtime.cohort import LoopBatcher, ThreadBatcher
from turnout.runtime.label import request_label
from turnout.runtime.offload import MOST_LOOP_CHARACTERS, run_on
from turnout.runtime.prefix import Prefix

# A text of so many characters takes seconds to read, and must not hold up shorter ones.
_LONG_CHARACTERS = 1_000_000
# The most bytes that a body of text alone has for each of its characters.
_BYTES_PER_CHARACTER = 4
# So many first requests are read on a thread, since what they need, about a second's worth, is
# loaded meanwhile.
_FIRST_REQUESTS = 16
# No tokenizer has the second word as one token; the first such word loads the table of merges.
_COMMON_WORD, _RARE_WORD = "Hello", "xqzzvk"
# The prediction for a request that passes unread.
_UNREAD = Prediction(classifier=Ref(name="none"))


class ReadRequest(Struct, frozen=True):
    """What is known of a request before the decision, and the outcomes of calls made for it.

    ``prefix`` has the hashes of the prompt's beginnings, if a provider's cache may hold some.
    """

    features: Features
    prediction: Prediction
    prefix: Prefix | None = None
    label_calls: tuple[Outcome, ...] = ()


class Reader:
    """Reads requests with the classifier, tokenizers and predictor of these ``parts``."""

    def __init__(self, assembly: Assembly) -> None:
        self.parts = assembly
        self._rules = assembly.means.rules
        self._first_stage = LoopBatcher(assembly.means.cohort, assembly.classifier.begin_batch)
        self._tokenizers = {d.card.tokenizer for d in self._rules.catalog.deployments.values()}
        # One core is left to the event loop, however many prompts need the second stage. Longer
        # prompts have threads of their own, so that short ones need not wait for them.
        most = max(1, (os.cpu_count() or 2) - 1)
        self._threads = ThreadPoolExecutor(most, thread_name_prefix="turnout-classify")
        self._second_stage = ThreadBatcher(self._threads, most, assembly.classifier.finish_batch)
        self._readers = ThreadPoolExecutor(most, thread_name_prefix="turnout-read")
        self._long_readers = ThreadPoolExecutor(1, thread_name_prefix="turnout-read-long")
        self._unwarmed = _FIRST_REQUESTS

    @property
    def threads(self) -> Executor:
        """The threads of the classifier's second stage, and of other short work."""
        return self._threads

    def warm(self, *, fully: bool) -> None:
        """Loads what the first request would otherwise wait for, or, ``fully``, what any would."""
        text = _RARE_WORD if fully else _COMMON_WORD
        request = Request(id="", body={"messages": [{"role": "user", "content": text}]})
        self.parts.classifier.warm(fully=fully)
        self.parts.classifier.begin_batch([request.messages])
        self._with_features(request, _UNREAD)
        if fully:
            self._unwarmed = 0

    def close(self) -> None:
        """End the threads."""
        for threads in (self._threads, self._readers, self._long_readers):
            threads.shutdown(wait=False)

    async def input_tokens(self, request: Request) -> int:
        """The prompt's tokens at the model that ``request`` names, else the most at any model.

        What hosted tools gave back earlier counts only for models of their provider.
        """
        texts = prompt_texts(request)
        executor = self._executor_for(request, texts) or self._threads
        features = await run_on(executor, extract, request, self._tokenizers, texts)
        results = await run_on(executor, hosted_results, request, self._tokenizers)
        named = self._rules.catalog.find(request.model)
        deployments = [named] if named else self._rules.catalog.deployments.values()
        if results is None:
            return max(input_tokens(features, deployment) for deployment in deployments)
        with_results = {
            name: n + results.text_tokens[name] for name, n in features.input_tokens.items()
        }
        larger = structs.replace(features, input_tokens=with_results)
        return max(
            input_tokens(larger, deployment) + results.other_tokens
            if takes_back(request, deployment.provider.family)
            else input_tokens(features, deployment)
            for deployment in deployments
        )

    def read_now(self, request: Request) -> ReadRequest:
        """As ``read``, by the local classifier alone; blocks."""
        if self._skips_classifier(request):
            return self._with_features(request, _UNREAD)
        return self._with_features(request, self._local_prediction(request))

    async def read(self, request: Request) -> ReadRequest:
        """The request's features and prediction. Raises RequestError."""
        texts = prompt_texts(request)
        executor = self._executor_for(request, texts)
        if executor is None and self._unwarmed:
            self._unwarmed -= 1
            executor = self._threads  # not behind a long prompt
        label_calls: tuple[Outcome, ...] = ()
        prediction = _UNREAD
        if not self._skips_classifier(request):
            if executor is None:
                begun = await self._first_stage.result_for(readable_messages(request))
                settled = isinstance(begun, Prediction)
                prediction = begun if settled else await self._second_stage.result_for(begun)
            else:
                prediction = await run_on(executor, self._local_prediction, request)
            label_model = self.parts.label_model
            if label_model and label_model.is_wanted_for(prediction, self._rules.safety):
                prediction, label_calls = await self._with_label(request, prediction, label_model)
        if executor is None:
            known = self._with_features(request, prediction, texts)
        else:
            known = await run_on(executor, self._with_features, request, prediction, texts)
        return structs.replace(known, label_calls=label_calls) if label_calls else known

    def _executor_for(self, request: Request, texts: Sequence[str]) -> Executor | None:
        """The threads to read on, None for the event loop; a body may hold files beside texts."""
        size, most_held = sum(map(len, texts)), request.body_bytes // _BYTES_PER_CHARACTER
        size = max(size, most_held)
        if size <= MOST_LOOP_CHARACTERS:
            return None
        return self._long_readers if size > _LONG_CHARACTERS else self._readers

    def _skips_classifier(self, request: Request) -> bool:
        """Whether the configuration lets the request pass without being classified."""
        return not self._rules.safety.pinned and is_pinned(request, self._rules)

    def _local_prediction(self, request: Request) -> Prediction:
        return self.parts.classifier.predict(readable_messages(request))

    async def _with_label(
        self, request: Request, local: Prediction, label_model: LabelModel
    ) -> tuple[Prediction, tuple[Outcome, ...]]:
        """The local prediction, with a model's label if it can be asked for."""
        ident = label_model.deployment.id
        why_not: object = self.parts.unavailable_now().get(ident)
        if why_not is None and ident in self.parts.means.lateness.closed("classifier"):
            why_not = "its labels came too late"
        if why_not is not None:
            return combine(local, None, f"not asked: {why_not}"), ()
        label, failure, outcome = await request_label(request, label_model, self.parts.means)
        return combine(local, label, failure), (outcome,) if outcome else ()

    def _with_features(
        self, request: Request, prediction: Prediction, texts: Sequence[str] | None = None
    ) -> ReadRequest:
        """The features, and the prediction with P(success) if there is a predictor."""
        features = extract(request, self._tokenizers, texts)
        caches, known = self.parts.means.caches, self.parts.success
        prefix = caches.prefix(request) if caches is not None else None
        if known is None:
            return ReadRequest(features, prediction, prefix)
        text = prompt_text(request)
        success, strange = known.predictor.predict_with_strangeness(text)
        if known.lengths is not None:
            quantile = self.parts.config.policy.output_quantile
            written = known.lengths.tokens(text, quantile, request.max_output_tokens)
            features = structs.replace(features, written=written)
        prediction = structs.replace(
            prediction, success=success, strange=strange, predictor=known.ref
        )
        return ReadRequest(features, prediction, prefix)
