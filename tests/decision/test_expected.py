"""What is in a prompt cache lowers the cost that ranks, and nothing else."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.worlds import (
    NOW,
    anthropic,
    catalog,
    deployment,
    features,
    prediction,
    price,
    request,
    rulebook,
)
from turnout.catalog import Deployment, Price, Rates
from turnout.core import Constraints, Decision, Features, Usage
from turnout.decision import Balance, Group, bound, decide
from turnout.policies import Cascade, Cheapest, CheapestAboveQuality, IntentMap, Policy, Utility
from turnout.runtime.bounds import bounds

TOKENS = 10_000


def cached_price(usd_in: int, usd_out: int, *, write: float | None = None) -> Price:
    """Reading costs a tenth, writing so many times what is fresh."""
    rates = Rates(
        input=usd_in * 10**6,
        output=usd_out * 10**6,
        cache_read=usd_in * 10**5,
        cache_write=None if write is None else round(usd_in * write * 10**6),
    )
    return Price(rates=rates, source="this test", date="2026-01-01")


WARM = deployment("warm", cached_price(2, 2), quality=0.9)
CHEAP = deployment("cheap", price(1, 2), quality=0.8)
CARDS = catalog(CHEAP, WARM)


def made(
    policy: Policy,
    held: dict[str, int],
    seen: Features | None = None,
    *deployments: Deployment,
    **more: object,
) -> Decision:
    """The decision where so many tokens are in the caches."""
    rules = rulebook(policy, catalog(*deployments) if deployments else CARDS)
    now = structs.replace(NOW, cached_tokens=held)
    return decide(request(**more), seen or features(TOKENS), prediction(), now, rules)


@pytest.mark.parametrize(
    "policy",
    [
        Cheapest(),
        CheapestAboveQuality(quality=0.5),
        Utility(per_usd=100.0),
        Cascade(),
    ],
)
def test_a_warm_cache_can_decide_and_then_says_so(policy: Policy) -> None:
    """Each policy that ranks by cost changes its mind by the one number, and the reason tells."""
    cold, warm = made(policy, {}), made(policy, {"warm": TOKENS})
    assert (cold.model, warm.model) == ("model-cheap", "model-warm")
    assert warm.reason.endswith("as 10,000 tokens of the prompt are in its cache")
    assert "in its cache" not in cold.reason
    assert warm.candidates[1].reason == warm.reason


def test_a_little_in_the_cache_decides_nothing() -> None:
    """Stickiness has a price: where the other model is cheaper all the same, it is taken."""
    decision = made(Cheapest(), {"warm": TOKENS // 10})
    assert decision.model == "model-cheap"
    assert "in its cache" not in decision.reason


def test_the_candidate_tells_tokens_and_both_costs() -> None:
    """Read tokens at the price of reading, the rest fresh, and what it would be without."""
    decision = made(Cheapest(), {"warm": 8_000})
    cheap, warm = decision.candidates
    assert warm.cache_read_tokens == 8_000
    assert warm.cost_pico_usd == (8_000 * 2 * 10**5) + (2_000 + 100) * 2 * 10**6
    assert warm.cold_pico_usd == (10_000 + 100) * 2 * 10**6
    assert (cheap.cache_read_tokens, cheap.cold_pico_usd) == (0, None)
    said = "(8,000 tokens read from its cache, $0.020200 with a cold one)"
    assert f"model-warm: expected cost $0.005800 {said}" in decision.explain()
    assert decision.expected_cost_pico_usd == warm.cost_pico_usd
    assert decision.as_dict()["candidates"][1]["cache_read_tokens"] == 8_000


def test_fallbacks_are_ranked_by_it_and_the_intent_map_is_not() -> None:
    """The mapped model stays first; behind it the warm one comes before the cheaper one."""
    policy = IntentMap(routes={"code": "strong"}, default="strong")
    strong = deployment("strong", price(10, 30))
    orders = [
        [route.deployment for route in made(policy, held, None, strong, CHEAP, WARM).routes]
        for held in ({}, {"warm": TOKENS})
    ]
    assert orders == [["strong", "cheap", "warm"], ["strong", "warm", "cheap"]]


@pytest.mark.parametrize(("marked", "hour_cache"), [(False, False), (True, False), (True, True)])
def test_writing_is_priced_where_the_request_asks_and_the_provider_bills_it(
    *, marked: bool, hour_cache: bool
) -> None:
    """Anthropic reads and writes what is marked, an hour's at twice the price; others neither."""
    claude = anthropic("claude", cached_price(2, 2, write=1.25))
    seen = features(TOKENS, marked=marked, hour_cache=hour_cache)
    plain, warm = made(
        Cheapest(), {"claude": 9_000, "cheap": 9_000}, seen, CHEAP, claude
    ).candidates
    rate = 4 if hour_cache else 2.5
    assert (plain.cost_pico_usd, plain.cache_read_tokens) == ((TOKENS + 200) * 10**6, 0)
    if not marked:
        assert (warm.cache_read_tokens, warm.cache_write_tokens) == (0, 0)
        assert warm.cost_pico_usd == (TOKENS + 100) * 2 * 10**6
        return
    assert (warm.cache_read_tokens, warm.cache_write_tokens) == (9_000, 1_000)
    assert warm.cost_pico_usd == 9_000 * 2 * 10**5 + round(1_000 * rate * 10**6) + 200 * 10**6
    assert warm.cold_pico_usd == round(TOKENS * rate * 10**6) + 200 * 10**6


@pytest.mark.parametrize(
    ("url", "written"),
    [("https://api.openai.com/v1", TOKENS), ("https://openrouter.ai/api/v1", 0)],
)
def test_openai_bills_cache_writes_without_a_mark(url: str, written: int) -> None:
    """Its models that have a price for writing write every long prompt."""
    found = deployment("new", cached_price(1, 2, write=1.25))
    found = replace(found, provider=replace(found.provider, base_url=url))
    [candidate] = made(Cheapest(), {}, None, found).candidates
    assert candidate.cache_write_tokens == written


def test_short_prompts_are_never_cached() -> None:
    """Below 1,024 tokens nothing is read or written, whatever a memory says."""
    claude = anthropic("claude", cached_price(2, 2, write=1.25))
    [candidate] = made(Cheapest(), {"claude": 900}, features(1023, marked=True), claude).candidates
    assert (candidate.cache_read_tokens, candidate.cache_write_tokens) == (0, 0)


def test_a_conversation_stays_at_the_place_that_has_it_cached() -> None:
    """Among a model's deployments the warm one comes first, and is then sure to."""
    places = [replace(deployment(f"m#{n}", cached_price(1, 2)), group="m") for n in range(3)]
    group = Group(weights={d.id: 1.0 for d in places}, rule="weighted")
    balance = Balance(groups={"m": group}, group_of={d.id: "m" for d in places})
    rules = replace(rulebook(Cheapest(), catalog(*places)), balance=balance)
    for place in places:
        now = structs.replace(NOW, cached_tokens={place.id: 5_000})
        decision = decide(request(), features(TOKENS), prediction(), now, rules)
        assert decision.deployment == place.id
        likely = {c.deployment: c.propensity for c in decision.candidates}
        assert likely == {d.id: float(d is place) for d in places}


_POOL = (
    CHEAP,
    WARM,
    deployment("dear", cached_price(20, 60, write=1.25)),
    anthropic("claude", cached_price(3, 15, write=1.25)),
)


@given(
    tokens=st.integers(1, 120_000),
    held=st.dictionaries(st.sampled_from([d.id for d in _POOL]), st.integers(0, 200_000)),
    marked=st.booleans(),
    hour_cache=st.booleans(),
    limit=st.none() | st.integers(0, 10**13),
    most=st.none() | st.integers(0, 10**13),
    n=st.integers(1, 4),
)
def test_no_hold_and_no_limit_counts_a_discount(
    tokens: int,
    held: dict[str, int],
    *,
    marked: bool,
    hour_cache: bool,
    limit: int | None,
    most: int | None,
    n: int,
) -> None:
    """Whatever is cached, as much is held, the same are excluded, and a hold covers every class."""
    limits = Constraints(max_cost_pico_usd=limit, most_pico_usd=most)
    seen = features(tokens, marked=marked, hour_cache=hour_cache)
    cold, warm = (
        made(Cheapest(), found, seen, *_POOL, constraints=limits, n=n) for found in ({}, held)
    )
    assert [c.excluded for c in cold.candidates] == [c.excluded for c in warm.candidates]
    asked, cards = request(constraints=limits, n=n), catalog(*_POOL)
    assert bounds(asked, cold, cards) == bounds(asked, warm, cards)
    for before, after in zip(cold.candidates, warm.candidates, strict=True):
        assert (after.cost_pico_usd or 0) <= (before.cost_pico_usd or 0)
        assert before.cost_pico_usd == (after.cold_pico_usd or after.cost_pico_usd)
        used = cards.deployments[after.deployment]
        hold = bound(asked, seen, used).cost_pico_usd
        bill = Usage(
            input=tokens - after.cache_read_tokens - after.cache_write_tokens,
            cache_read=after.cache_read_tokens,
            cache_write=after.cache_write_tokens,
            output=100 * n,
            hour_cache=hour_cache and used.provider.family == "anthropic",
        )
        assert used.price is not None
        assert hold is not None
        assert used.price.cost(bill) == after.cost_pico_usd
        assert hold >= (before.cost_pico_usd or 0)


@pytest.mark.parametrize(("answers", "model"), [(0, "dear"), (1, "dear"), (8, "cheap")])
def test_a_switch_is_paid_by_the_turns_to_come(answers: int, model: str) -> None:
    """What a model would read in is spread over half as many turns as there were."""
    cheap = deployment("cheap", cached_price(1, 2))
    dear = deployment("dear", cached_price(4, 2))
    seen = features(TOKENS, answers=answers)
    decision = made(Cheapest(), {"dear": TOKENS}, seen, cheap, dear)
    first = decision.candidates[0]
    assert decision.model == f"model-{model}"
    read_in = TOKENS * 9 * 10**5
    later = TOKENS * 10**5 + 200 * 10**6
    assert first.cost_pico_usd == later + read_in
    spread = later + 2 * read_in // (2 + answers) if answers else None
    assert first.ranked_pico_usd == spread
    assert decision.candidates[1].ranked_pico_usd is None
    if answers:
        assert "for the turns to come)" in decision.explain()


@pytest.mark.parametrize(
    ("money", "held"),
    [
        (cached_price(1, 2), {"dear": TOKENS, "cheap": 0}),
        (cached_price(1, 2, write=1.25), {"dear": TOKENS}),
        (cached_price(1, 2), {}),
    ],
    ids=["seen to keep nothing", "writes nothing unmarked", "nothing is cached anywhere"],
)
def test_a_cache_that_will_keep_nothing_is_not_counted_on_later(
    money: Price, held: dict[str, int]
) -> None:
    """What no turn will read back is paid by this one."""
    cheap = deployment("cheap", money)
    dear = deployment("dear", cached_price(4, 2))
    seen = features(TOKENS, answers=8)
    decision = made(Cheapest(), held, seen, cheap, dear)
    assert decision.model == ("model-dear" if held else "model-cheap")
    assert decision.candidates[0].ranked_pico_usd is None


def test_a_model_taken_for_the_turns_to_come_says_so() -> None:
    """The one who reads the prompt in now was not the cheapest without caches."""
    bare = deployment("bare", price(1, 2))
    keeps = deployment("keeps", cached_price(2, 2))
    warm = deployment("warm", cached_price(30, 60))
    seen = features(TOKENS, answers=20)
    decision = made(Cheapest(), {"warm": TOKENS}, seen, bare, keeps, warm)
    assert decision.model == "model-keeps"
    assert decision.reason.endswith("as the turns to come will find the prompt in its cache")
