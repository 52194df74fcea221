"""Which of auto, intents and policies a caller can use who may use certain models only.

Invariant: ``decide`` itself answers this, so that what is offered is what is served.
"""

from collections.abc import Collection, Iterator

from msgspec import structs

from turnout.core import Constraints, Prediction, Ref, Request, Snapshot
from turnout.decision.decide import Rulebook, decide
from turnout.features import extract

_BODY = {"messages": [{"role": "user", "content": "?"}]}
_HARMLESS = Prediction(classifier=Ref(name="none"), harm=0.0, injection=0.0)


def reachable_names(
    names: Collection[str], allowed: frozenset[str] | None, rules: Rulebook
) -> Iterator[str]:
    """Those of ``names`` (auto, intents, policies) under which some prompt can be answered.

    Only models in ``allowed`` may answer; None allows all.
    """
    tokenizers = {d.card.tokenizer for d in rules.catalog.deployments.values()}
    probe = Request(id="", body=_BODY, constraints=Constraints(allow=allowed))
    features = extract(probe, tokenizers)
    predictions = [
        structs.replace(_HARMLESS, label=label) for label in (None, *sorted(rules.intents))
    ]
    for name in names:
        request = structs.replace(probe, id=name, model=name)
        plans = (decide(request, features, one, Snapshot(), rules) for one in predictions)
        if any(plan.routes for plan in plans):
            yield name
