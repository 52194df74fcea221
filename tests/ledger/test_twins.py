"""What an answer would have cost at every other model."""

from dataclasses import replace

from msgspec import structs

from tests.ledger.money import CATALOG, decided, make_request
from turnout.catalog import Catalog
from turnout.core import Decision, Usage
from turnout.ledger.twins import Answer, extremes_of, quality_ppm, twins

DECISION = decided(make_request(1))
# The prompt has 100 tokens, 110 as the small model counts them and 120 as the large one does.
USED = Usage(input=120, output=24)
COST = (120 * 10 + 24 * 30) * 10**6


def found(
    decision: Decision = DECISION,
    usage: Usage = USED,
    cost: int | None = COST,
    whole: int | None = COST + 7,
    reusable: int = 0,
    catalog: Catalog = CATALOG,
) -> dict[str, tuple[int, ...]]:
    """The twins of an answer by the large model."""
    large = CATALOG.deployments["large"]
    answer = Answer(large, usage, cost, whole, reusable)
    return dict(twins(decision, answer, catalog, extremes_of(catalog)))


def test_each_model_counts_the_same_texts_in_its_own_tokens() -> None:
    """Rounded up; the answering one's twin costs what it did cost, beside the request's whole."""
    assert found() == {
        "large": (1, 0, 0, COST, COST + 7, 1, 900_000),
        "mid": (1, 0, 0, (100 * 3 + 20 * 6) * 10**6, COST + 7, 1, 700_000),
        "small": (1, 0, 0, (110 * 1 + 22 * 2) * 10**6, COST + 7, 1, 500_000),
        "@strongest": found()["large"],
        "@cheapest": found()["small"],
    }
    odd = found(usage=Usage(input=121, output=25))
    assert odd["mid"][3] == (101 * 3 + 21 * 6) * 10**6
    for counts in ({}, {"qwen3": 110}):
        seen = structs.replace(DECISION.features, input_tokens=counts)
        uncounted = found(structs.replace(DECISION, features=seen))
        assert uncounted["mid"][3] == (120 * 3 + 24 * 6) * 10**6
        assert uncounted["small"][3] == (120 * 1 + 24 * 2) * 10**6
    assert extremes_of(Catalog(deployments={})) == {}


def test_what_was_cached_is_cached_for_the_twin() -> None:
    """And what the session's last turn left at another model, but never more than the prompt."""
    cached = Usage(input=60, cache_read=36, cache_write=24, output=24)
    fresh, read = 3 * 10**6, 3 * 10**5
    answered = 20 * 6 * 10**6
    assert found(usage=cached)["mid"][3] == 70 * fresh + 30 * read + answered
    assert found(usage=cached, reusable=60)["mid"][3] == 50 * fresh + 50 * read + answered
    assert found(usage=cached, reusable=999)["mid"][3] == 100 * read + answered
    mid = CATALOG.deployments["mid"]
    assert mid.price is not None
    rates = replace(mid.price.rates, cache_write=4 * 10**6)
    writes = replace(mid, price=replace(mid.price, rates=rates))
    bills = Catalog(deployments={**CATALOG.deployments, "mid": writes})
    assert found(usage=cached, reusable=108, catalog=bills)["mid"][3] == (
        90 * read + 10 * 4 * 10**6 + answered
    )
    assert found(reusable=12)["mid"][3] == 90 * fresh + 10 * read + answered


def test_what_is_unknown_is_compared_with_nothing() -> None:
    """The twin's price, the request's whole cost, or what was beside text."""
    nothing = (1, 1, 0, 0, 0, 1, 700_000)
    mid = CATALOG.deployments["mid"]
    dear = Catalog(deployments={**CATALOG.deployments, "mid": replace(mid, price=None)})
    assert found(catalog=dear)["mid"] == nothing
    assert found(catalog=dear)["small"][1] == 0
    assert found(whole=None)["mid"] == nothing
    assert found(cost=None)["large"][1] == 1
    searched = found(usage=structs.replace(USED, searches=1))
    assert (searched["mid"], searched["large"][1]) == (nothing, 0)
    unrated = Catalog(deployments={"mid": replace(mid, card=replace(mid.card, quality=None))})
    alone = structs.replace(DECISION, candidates=())
    assert found(alone, catalog=unrated)["mid"][5:] == (0, 0)
    assert (quality_ppm(None), quality_ppm(0.5)) == (None, 500_000)


def test_a_twin_that_could_not_have_answered_says_so() -> None:
    """Whether it was a candidate or not; a prediction counts more than the model's card."""
    excluded = found(decided(make_request(2), tokens=200_000))
    assert (excluded["small"][2], excluded["@strongest"][2]) == (1, 1)
    alone = structs.replace(DECISION, candidates=())
    assert {twin[2] for twin in found(alone).values()} == {0}
    sight = structs.replace(DECISION.features, modalities=frozenset({"text", "image"}))
    assert found(structs.replace(alone, features=sight))["mid"][2] == 1
    window = CATALOG.deployments["mid"].card.context_window
    for tokens, unfit in ((window, 0), (window + 1, 1)):
        seen = structs.replace(DECISION.features, input_tokens={"o200k_base": tokens, "qwen3": 1})
        assert found(structs.replace(alone, features=seen))["mid"][2] == unfit
    guess = structs.replace(DECISION.prediction, success={"acme/mid": 0.25})
    assert found(structs.replace(alone, prediction=guess))["mid"][6] == 250_000
