"""Requests for embeddings: one model and its deployments, the same walk and the same accounting.

Invariant: vectors of different models are not interchangeable. A request goes to the deployments of
the model it names, or of the default one, and never to another model or a stand-in. Inputs get no
safety verdict, since a vector cannot do harm.
This module does not know HTTP.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from turnout.catalog import Catalog
from turnout.core import (
    AUTO,
    EMBEDDING,
    Exclusion,
    Features,
    InvalidRequest,
    Request,
    Snapshot,
)
from turnout.decision import Rulebook, decide
from turnout.features import count_tokens
from turnout.ledger import Recorder
from turnout.policies import Fixed
from turnout.runtime.admission import admit
from turnout.runtime.assemble import Assembly
from turnout.runtime.backends import without_key
from turnout.runtime.balancing import outstanding
from turnout.runtime.edge import failure
from turnout.runtime.means import Means
from turnout.runtime.offload import offload_if_long
from turnout.runtime.walk import Walk


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedding:
    """What embedding needs: its means (None: no model), and deployments without key.

    ``default`` are the rules for requests that name no model, None if there is no default. ``chat``
    are the chat models, for a message that tells the two apart.
    """

    means: Means | None
    default: Rulebook | None
    unavailable: Mapping[str, Exclusion]
    chat: Catalog

    @classmethod
    def of(cls, parts: Assembly) -> Self:
        """From a router's parts."""
        means, default = parts.embedding, parts.config.embeddings
        return cls(
            means=means,
            default=_rules_for(default, means.rules) if means and default else None,
            unavailable=without_key(means.rules.catalog) if means else {},
            chat=parts.means.rules.catalog,
        )

    def with_recorder(self, recorder: Recorder) -> Self:
        """The same with another recorder."""
        if self.means is None:
            return self
        return replace(self, means=replace(self.means, recorder=recorder))

    async def begin(self, request: Request) -> Walk:
        """The walk of a request for embeddings. Raises RequestError."""
        means = self.means
        if means is None:
            raise InvalidRequest(
                "no embedding model is configured; give a model of turnout.yaml kind: embedding",
                field="model",
            )
        rules, health = self._rules(request, means.rules), means.health
        cooling = health.unavailable(self.unavailable)
        now = Snapshot(
            as_of=time.time(),
            unavailable={**cooling, **self.unavailable},
            outstanding=outstanding(rules.balance, health),
        )
        features = await offload_if_long(request.body_bytes, _features, request, rules.catalog)
        decision = decide(request, features, EMBEDDING, now, rules)
        request, decision = await admit(
            request,
            decision,
            lambda narrower: decide(narrower, features, EMBEDDING, now, rules),
            means,
        )
        if not decision.routes:
            await means.recorder.settled(decision)
            raise failure(decision, ())
        return Walk(request=request, decision=decision, means=means)

    def _rules(self, request: Request, rules: Rulebook) -> Rulebook:
        """The rules by which the request's model is found. Raises InvalidRequest if none is."""
        name = request.model
        if name == AUTO and self.default is not None:
            return self.default
        if name != AUTO and rules.catalog.find(name) is not None:
            return rules
        known = ", ".join(rules.catalog.deployments)
        what = "is a chat model" if self.chat.find(name) else "is not an embedding model"
        if name == AUTO:
            what = "needs `embeddings: NAME` in the configuration"
        raise InvalidRequest(f"model {name!r} {what}; embedding models: {known}", field="model")


def _rules_for(default: str, rules: Rulebook) -> Rulebook:
    """The rules under which ``default`` answers, and no other model is a candidate."""
    catalog = rules.catalog
    model = catalog.first_deployment(default).configured_name
    return replace(
        rules,
        catalog=Catalog(deployments={d.id: d for d in catalog.deployments_of(model)}),
        policy=Fixed(deployment=model, reason="the default for embeddings"),
    )


def _features(request: Request, catalog: Catalog) -> Features:
    inputs = request.body["input"]
    items = [inputs] if isinstance(inputs, str) or _is_tokens(inputs) else inputs
    texts = [item for item in items if isinstance(item, str)]
    tokens = sum(len(item) for item in items if not isinstance(item, str))
    cards = {d.card.tokenizer for d in catalog.deployments.values()}
    return Features(
        input_tokens={name: tokens + count_tokens(texts, name) for name in cards},
        output_tokens=0,
        characters=sum(map(len, texts)),
    )


def _is_tokens(inputs: object) -> bool:
    return isinstance(inputs, list) and isinstance(inputs[0], int)
