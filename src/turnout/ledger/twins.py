"""What an answer would have cost at every other model: the twins that savings compare with.

A twin reads and writes the same texts, counted in its own tokens; the part of the prompt that the
provider had cached is cached for it too, and so is the previous turn of a session that went to
another model, for a twin would have stayed. A twin makes no extra calls.

Invariant: the answering model's own twin costs what its answer did cost. This module does not know
storage.
"""

from collections.abc import Iterator, Mapping

from msgspec import Struct, structs

from turnout.catalog import Catalog, Deployment
from turnout.core import Candidate, Decision, Exclusion, Usage
from turnout.ledger.entries import Twin

STRONGEST, CHEAPEST = "@strongest", "@cheapest"
MILLION = 1_000_000


class Answer(Struct, frozen=True):
    """The call that answered: its deployment, usage and cost, and the request's whole cost.

    ``reusable`` are the prompt tokens of the session's last turn, still cached where it ran.
    """

    deployment: Deployment
    usage: Usage
    cost_pico_usd: int | None
    request_pico_usd: int | None
    reusable: int = 0


def twins(
    decision: Decision, answer: Answer, catalog: Catalog, marks: Mapping[str, str]
) -> Iterator[Twin]:
    """A twin for each deployment, and one each for the strongest and the cheapest (``marks``)."""
    candidates = {c.deployment: c for c in decision.candidates}
    theirs = counted(decision, answer.deployment)
    total = answer.request_pico_usd
    of = {}
    for id_, deployment in catalog.deployments.items():
        candidate = candidates.get(id_) or _candidate(deployment, decision)
        cost = _cost(deployment, decision, answer, theirs)
        unfit = candidate.excluded is not None
        of[id_] = Twin(id_, cost, total, unfit, quality_ppm(candidate.quality))
    yield from of.values()
    for name, deployment_id in marks.items():
        yield structs.replace(of[deployment_id], name=name)


def extremes(catalog: Catalog) -> Mapping[str, str]:
    """The strongest and the cheapest deployment of a catalogue, by the names of their twins."""
    if not catalog.deployments:
        return {}
    return {STRONGEST: catalog.strongest().id, CHEAPEST: catalog.cheapest().id}


def _candidate(deployment: Deployment, decision: Decision) -> Candidate:
    """What a model would have been that was none, as another was asked for by name."""
    card, features = deployment.card, decision.features
    lack = deployment.lacks(features)
    excluded = None if lack is None else Exclusion("incapable", lack)
    if counted(decision, deployment) > card.context_window * MILLION:
        excluded = Exclusion("window_exceeded", "its window is too small")
    quality = decision.prediction.success.get(card.id, card.quality)
    return Candidate(deployment.id, card.id, quality=quality, excluded=excluded)


def _cost(deployment: Deployment, decision: Decision, answer: Answer, theirs: int) -> int | None:
    """Pico-dollars of the same answer at ``deployment``; None when its price is unknown.

    ``theirs`` is the prompt as the answering model counts it; the answer's usage is scaled by it.
    """
    if deployment.id == answer.deployment.id:
        return answer.cost_pico_usd
    used = answer.usage
    price = deployment.billing(lasting=used.lasting)
    if price is None:
        return None
    prompt, output = used.total_input, used.total_output
    read, written = max(used.cache_read, answer.reusable), used.cache_write
    mine = counted(decision, deployment)
    if mine != theirs and theirs:
        prompt, output, read, written = (
            -(-tokens * mine // theirs) for tokens in (prompt, output, read, written)
        )
    read = min(prompt, read)
    written = min(prompt - read, written)
    return price.expected_cost(prompt, output, cache_read=read, cache_write=written)


def counted(decision: Decision, deployment: Deployment) -> int:
    """The prompt's length in the deployment's tokens, in millionths; 0 where it was not counted."""
    card = deployment.card
    count = decision.features.input_tokens.get(card.tokenizer, 0)
    return round(count * card.token_factor * MILLION)


def quality_ppm(quality: float | None) -> int | None:
    """Expected quality in millionths; None where nothing is known."""
    return None if quality is None else round(quality * MILLION)
