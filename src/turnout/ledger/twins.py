"""What an answer would have cost at every other model: the twins that savings compare with.

A twin reads and writes the same texts, counted in its own tokens. The part of the prompt that the
provider had cached is cached for the twin, too, and so is the previous turn of a session that went
to another model, since with one model for all the session would have stayed. A twin needs no
other calls.

Invariant: the answering model's own twin costs what its answer did cost. This module does not know
storage.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from turnout.catalog import Catalog, Deployment
from turnout.core import Candidate, Decision, Exclusion, Usage
from turnout.ledger.entries import Sums

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
    decision: Decision, answer: Answer, catalog: Catalog, extremes: Mapping[str, str]
) -> dict[str, Sums]:
    """What the twins add to their sums: one for each deployment, and one each for ``extremes``.

    The actual cost is added where the twin's is known as well, so that the two can be compared.
    """
    candidates = {c.deployment: c for c in decision.candidates}
    answered, actual = answer.deployment.id, answer.request_pico_usd
    others = [d for d in catalog.deployments.values() if d.id != answered]
    costs = twin_costs(decision, answer, others)
    costs[answered] = answer.cost_pico_usd
    found: dict[str, Sums] = {}
    for id_, deployment in catalog.deployments.items():
        candidate = candidates.get(id_) or _candidate(deployment, decision)
        cost, quality = costs[id_], quality_ppm(candidate.quality)
        unfit, rated = candidate.excluded is not None, quality is not None
        if cost is None or actual is None:
            found[id_] = (1, 1, unfit, 0, 0, rated, quality or 0)
        else:
            found[id_] = (1, 0, unfit, cost, actual, rated, quality or 0)
    for name, id_ in extremes.items():
        found[name] = found[id_]
    return found


def twin_costs(
    decision: Decision, answer: Answer, deployments: Iterable[Deployment]
) -> dict[str, int | None]:
    """Pico-dollars of the same answer at each deployment; None where its price is unknown."""
    used = answer.usage
    read, written = max(used.cache_read, answer.reusable), used.cache_write
    tokens = used.total_input, used.total_output, read, written
    counted, is_text = prompt_millionths(decision, answer.deployment), not used.costs_beyond_text
    found: dict[str, int | None] = {}
    for deployment in deployments:
        price = deployment.price if is_text else None
        if price is None:
            found[deployment.id] = None
            continue
        prompt, output, read, written = tokens
        count = prompt_millionths(decision, deployment)
        if count != counted and counted:
            # As this model counts them, by the ratio of the two models' prompt counts.
            prompt, output, read, written = [-(-n * count // counted) for n in tokens]
        if used.hour_cache:
            price = deployment.hour_cache_price(price)
        read = min(prompt, read)
        written = min(prompt - read, written)
        found[deployment.id] = price.expected_cost(
            prompt, output, cache_read=read, cache_write=written
        )
    return found


def extremes_of(catalog: Catalog) -> Mapping[str, str]:
    """The strongest and the cheapest deployment of a catalogue, by the names of their twins."""
    if not catalog.deployments:
        return {}
    return {STRONGEST: catalog.strongest().id, CHEAPEST: catalog.cheapest().id}


def _candidate(deployment: Deployment, decision: Decision) -> Candidate:
    """The model as a candidate, if it was none because the request named another one."""
    card, features = deployment.card, decision.features
    lack = deployment.missing_capability(features)
    excluded = None if lack is None else Exclusion("incapable", lack)
    if prompt_millionths(decision, deployment) > card.context_window * MILLION:
        excluded = Exclusion("window_exceeded", "its window is too small")
    quality = decision.prediction.success.get(card.id, card.quality)
    return Candidate(deployment.id, card.id, quality=quality, excluded=excluded)


def prompt_millionths(decision: Decision, deployment: Deployment) -> int:
    """The prompt's length in the deployment's tokens, in millionths; 0 if it was not counted."""
    card = deployment.card
    count = decision.features.input_tokens.get(card.tokenizer, 0)
    return count * MILLION if card.token_factor == 1 else round(count * card.token_factor * MILLION)


def quality_ppm(quality: float | None) -> int | None:
    """Expected quality in millionths; None where nothing is known."""
    return None if quality is None else round(quality * MILLION)
