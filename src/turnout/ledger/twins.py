"""What an answer would have cost at every other model: the twins that savings compare with.

A twin reads and writes the same texts, counted in its own tokens; the part of the prompt that the
provider had cached is cached for it too, and so is the previous turn of a session that went to
another model, for a twin would have stayed. A twin makes no extra calls.

Invariant: the answering model's own twin costs what its answer did cost. This module does not know
storage.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from turnout.catalog import Catalog, Deployment
from turnout.core import Candidate, Decision, Usage
from turnout.ledger.entries import Twin

STRONGEST, CHEAPEST = "@strongest", "@cheapest"
MILLION = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
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
    of = {
        d.id: _twin(d, decision, answer, candidates.get(d.id)) for d in catalog.deployments.values()
    }
    yield from of.values()
    for name, deployment in marks.items():
        same = of[deployment]
        yield Twin(
            name=name,
            cost_pico_usd=same.cost_pico_usd,
            actual_pico_usd=same.actual_pico_usd,
            unfit=same.unfit,
            quality_ppm=same.quality_ppm,
        )


def extremes(catalog: Catalog) -> Mapping[str, str]:
    """The strongest and the cheapest deployment of a catalogue, by the names of their twins."""
    if not catalog.deployments:
        return {}
    return {STRONGEST: catalog.strongest().id, CHEAPEST: catalog.cheapest().id}


def _twin(
    deployment: Deployment, decision: Decision, answer: Answer, candidate: Candidate | None
) -> Twin:
    return Twin(
        name=deployment.id,
        cost_pico_usd=twin_cost(deployment, decision, answer),
        actual_pico_usd=answer.request_pico_usd,
        unfit=candidate is None or candidate.excluded is not None,
        quality_ppm=quality_ppm(candidate),
    )


def twin_cost(deployment: Deployment, decision: Decision, answer: Answer) -> int | None:
    """Pico-dollars of the same answer at ``deployment``; None when its price is unknown."""
    if deployment.id == answer.deployment.id:
        return answer.cost_pico_usd
    if deployment.price is None:
        return None
    return deployment.price.cost(twin_usage(deployment, decision, answer))


def twin_usage(deployment: Deployment, decision: Decision, answer: Answer) -> Usage:
    """The answer's usage in the deployment's own tokens."""
    mine = counted(decision, deployment)
    theirs = counted(decision, answer.deployment)
    used = answer.usage

    def own(tokens: int) -> int:
        return -(-tokens * mine // theirs) if theirs else tokens

    prompt = own(used.total_input)
    read = min(prompt, own(max(used.cache_read, answer.reusable)))
    written = min(prompt - read, own(used.cache_write))
    return Usage(
        input=prompt - read - written,
        cache_read=read,
        cache_write=written,
        output=own(used.total_output),
    )


def counted(decision: Decision, deployment: Deployment) -> int:
    """The prompt's length in the deployment's tokens, in millionths; 0 where it was not counted."""
    card = deployment.card
    count = decision.features.input_tokens.get(card.tokenizer, 0)
    return round(count * card.token_factor * MILLION)


def quality_ppm(candidate: Candidate | None) -> int | None:
    """Expected quality in millionths; None where nothing is known."""
    if candidate is None or candidate.quality is None:
        return None
    return round(candidate.quality * MILLION)
