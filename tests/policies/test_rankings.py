"""Each policy's order, reasons and propensities, candidate by candidate."""

from dataclasses import replace
from itertools import combinations

import pytest
from msgspec import structs

from tests.worlds import NOW, features, prediction, request
from turnout.core import Candidate, Constraints
from turnout.policies import (
    Cascade,
    Cheapest,
    CheapestAboveQuality,
    Fixed,
    IntentMap,
    Policy,
    Random,
    Rule,
    Rules,
    Score,
    Situation,
    Strongest,
    Utility,
    Weighted,
)

USD = 10**12


def candidate(
    name: str, cost: int | None, quality: float | None = None, latency_ms: float | None = None
) -> Candidate:
    """A candidate at so many pico-dollars."""
    return Candidate(
        deployment=name, model=name, cost_pico_usd=cost, quality=quality, latency_ms=latency_ms
    )


POOL = [
    candidate("a", USD // 100, 0.9, 1000.0),
    candidate("b", USD // 1000, 0.8, 100.0),
    candidate("c", None, 0.95),
    candidate("d", USD // 1000, 0.85, 200.0),
    candidate("e", USD // 2000, None),
    candidate("f", USD // 100, 0.8),
]


def ranked(
    policy: Policy,
    pool: list[Candidate],
    intent: str | None = "code",
    quality: float | None = None,
    ident: str = "r_1",
) -> list[Score]:
    """The scores, best first."""
    situation = Situation(
        request=request(ident=ident, constraints=Constraints(quality=quality)),
        features=features(),
        prediction=prediction(),
        snapshot=NOW,
        intent=intent,
    )
    return sorted(policy.rank(pool, situation), key=lambda score: -score.value)


def order(scores: list[Score]) -> str:
    """The deployments in order."""
    return "".join(score.deployment for score in scores)


MAP = IntentMap(routes={"code": "d", "chat": "a"}, default="b")


@pytest.mark.parametrize(
    ("policy", "quality", "expected", "reason"),
    [
        (Cheapest(), None, "ebdafc", "lowest expected cost"),
        (Strongest(order=("c", "a")), None, "cabdef", "strongest"),
        (Fixed(deployment="a", fallbacks=("z", "c")), None, "ac", "asked for by name"),
        # 0.95 is the best, so that 0.9 of it is 0.855: without a price last of those that pass.
        (CheapestAboveQuality(quality=0.9), None, "acdbfe", "cheapest with P(success) ≥ 0.855"),
        (CheapestAboveQuality(quality=1.0), None, "cadbfe", "cheapest with P(success) ≥ 0.950"),
        (CheapestAboveQuality(quality=1.0), 0.8, "dbafce", "cheapest with P(success) ≥ 0.760"),
        (CheapestAboveQuality(threshold=0.9), None, "acdbfe", "cheapest with P(success) ≥ 0.855"),
        (CheapestAboveQuality(threshold=0.9), 1.0, "cadbfe", "cheapest with P(success) ≥ 0.950"),
        (Utility(), None, "cadbfe", "most useful for its price"),
        (Utility(per_usd=1), None, "adbfec", "most useful for its price"),
        (Utility(per_usd=20), None, "dbafec", "most useful for its price"),
        (Utility(per_second=0.3), None, "cfdbae", "most useful for its price"),
        (Utility(per_usd=20), 0.9, "acdbfe", "most useful for its price"),
        (MAP, None, "dbeafc", "code → d"),
        (replace(MAP, fallbacks={"d": ("f",)}), None, "df", "code → d"),
        (replace(MAP, fallbacks={"d": ()}), None, "d", "code → d"),
    ],
)
def test_a_policy_ranks_by_its_rule(
    policy: Policy, quality: float | None, expected: str, reason: str
) -> None:
    """Equal ones by price, then by quality; an unknown price is the dearest, a quality the least.

    Who is first was sure to be, and only the first has the first's reason.
    """
    scores = ranked(policy, POOL, quality=quality)
    assert order(scores) == expected
    assert [score.propensity for score in scores] == [1.0] + [0.0] * (len(expected) - 1)
    assert scores[0].reason == reason
    assert reason not in {score.reason for score in scores[1:]}


def test_a_cost_to_rank_by_counts_in_place_of_the_other() -> None:
    """Whichever is higher; the candidate is not billed by it."""
    pool = [structs.replace(POOL[1], ranked_pico_usd=cost) for cost in (None, 0, USD)]
    pool = [structs.replace(c, deployment=name) for c, name in zip(pool, "xyz", strict=True)]
    assert order(ranked(Cheapest(), pool)) == "yxz"


@pytest.mark.parametrize(
    ("intent", "pool", "reason"),
    [
        ("chat", POOL, "chat → a"),
        ("chat", POOL[1:], "chat → a, which cannot take it: first fallback"),
        ("poem", POOL, "poem is not mapped → default b"),
        (None, POOL, "no label → default b"),
    ],
)
def test_the_map_says_how_it_came_to_its_choice(
    intent: str | None, pool: list[Candidate], reason: str
) -> None:
    """Also where it could not take the model of the intent."""
    assert ranked(MAP, pool, intent)[0].reason == reason


@pytest.mark.parametrize(
    ("asked", "share"), [(0.9, 0.7), (0.91, 0.85), (0.95, 0.85), (0.97, 0.85), (0.98, 0.98)]
)
def test_a_quality_needs_the_smallest_share_that_was_found_to_keep_it(
    asked: float, share: float
) -> None:
    """One that was found for a higher quality keeps it, too; without any it is its own share."""
    policy = CheapestAboveQuality(
        quality=0.9, calibrated=((0.9, 0.7), (0.95, 0.9), (0.97, 0.85)), threshold=0.1
    )
    assert policy.share(asked) == share
    assert (policy.share(None), replace(policy, threshold=None).share(None)) == (0.1, 0.7)


@pytest.mark.parametrize(
    ("hours", "hour", "chosen"),
    [
        ((9, 17), 8.999, "e"),
        ((9, 17), 9, "a"),
        ((9, 17), 16.999, "a"),
        ((9, 17), 17, "e"),
        ((22, 6), 22, "a"),
        ((22, 6), 6, "e"),
        ((0, 24), 0, "a"),
        (None, 12, "a"),
    ],
)
def test_a_rule_chooses_in_its_hours(
    hours: tuple[float, float] | None, hour: float, chosen: str
) -> None:
    """From the first to just before the last; the others follow once each, in their own order."""
    rule = Rule(name="r", deployment="a", hours=hours)
    policy = Rules(rules=(Rule(name="gone", deployment="z"), rule), otherwise=Cheapest())
    situation = Situation(
        request=structs.replace(request(), body={"messages": [{"role": "system", "content": "x"}]}),
        features=features(),
        prediction=prediction(),
        snapshot=structs.replace(NOW, as_of=hour * 3600 + 86_400 * 20_000),
        intent=None,
    )
    scores = list(policy.rank(POOL, situation))
    assert order(scores) == ("aebdfc" if chosen == "a" else "ebdafc")
    assert scores[0].reason == ("rule r" if chosen == "a" else "lowest expected cost")
    assert not replace(rule, keywords=("x",)).matches(situation)


def test_shares_of_chance_are_those_of_the_weights() -> None:
    """Whoever has no weight is never tried; who cannot take it leaves its share to the others."""
    policy = Weighted(weights={"a": 1.0, "b": 3.0, "c": 0.0})
    for pool, shares in (
        (POOL, {"a": 0.25, "b": 0.75}),
        (POOL[1:], {"b": 1.0}),
        (POOL[2:], {}),
    ):
        drawn = [ranked(policy, pool, ident=f"r_{n}") for n in range(300)]
        assert all({s.deployment: s.propensity for s in one} == shares for one in drawn)
        firsts = [one[0].deployment for one in drawn if one]
        assert all(one[0].reason == "drawn" for one in drawn if one)
        assert all(one[1].reason == "fallback" for one in drawn if len(one) > 1)
        for name, share in shares.items():
            assert abs(firsts.count(name) / 300 - share) < 0.08


def test_chance_tries_all_that_are_left_in_turn() -> None:
    """A random choice keeps the others as fallbacks, each with the same chance to be first."""
    scores = ranked(Random(), POOL)
    assert sorted(order(scores)) == list("abcdef")
    assert {score.propensity for score in scores} == {1 / 6}
    assert order(scores) in "abcdefabcdef"
    firsts = {ranked(Random(), POOL, ident=f"r_{n}")[0].deployment for n in range(100)}
    assert firsts == set("abcdef")
    assert ranked(Random(), []) == []


def test_a_request_that_may_not_draft_goes_to_the_top_at_once() -> None:
    """The reasons tell a draft, its escalation, and why there was no draft."""
    pool = [candidate("a", 100, 0.9), candidate("b", 10, 0.6), candidate("c", 95, 0.85)]
    sure = structs.replace(pool[1], quality=0.0)
    for policy, candidates, quality, reasons in (
        (Cascade(steps=2), pool, None, ["draft", "escalation", "fallback"]),
        (
            Cascade(steps=2),
            [pool[0], sure],
            None,
            ["most likely to succeed, and no draft is worth its cost", "fallback"],
        ),
        (Cascade(steps=2), pool, 0.6, ["most likely to succeed, and no draft is worth its cost"]),
    ):
        found = [score.reason for score in ranked(policy, candidates, quality=quality)]
        assert found[: len(reasons)] == reasons
    limits = Constraints(drafts=False)
    situation = Situation(
        request=request(constraints=limits),
        features=features(),
        prediction=prediction(),
        snapshot=NOW,
        intent=None,
    )
    scores = list(Cascade(steps=2).rank(pool, situation))
    assert (order(scores), any(score.draft for score in scores)) == ("acb", False)
    assert scores[0].reason == "most likely to succeed, and no draft could be verified"
    assert ranked(Cascade(), []) == []


def test_policies_that_decide_differently_have_different_refs() -> None:
    """A record names the policy by it; equal ones have equal refs."""
    above = CheapestAboveQuality()
    different: list[Policy] = [
        Cheapest(),
        Random(),
        Fixed(deployment="a"),
        Fixed(deployment="b"),
        Strongest(order=("a", "b")),
        Strongest(order=("b", "a")),
        Weighted(weights={"a": 1, "b": 2}),
        Weighted(weights={"a": 2, "b": 1}),
        Weighted(weights={"a": 2, "b": 1}, split="request"),
        Utility(),
        Utility(per_usd=1),
        Utility(per_second=1),
        Cascade(),
        Cascade(steps=2),
        Cascade(needs_schema=True),
        Cascade(judge="a"),
        Cascade(drafting=frozenset("a")),
        Cascade(drafting=frozenset()),
        Cascade(drafting=frozenset("ab")),
        replace(MAP, digest="1"),
        replace(MAP, digest="2"),
        above,
        replace(above, quality=0.9),
        replace(above, threshold=0.5),
        replace(above, calibrated=((0.9, 0.8),)),
        replace(above, steady=0.1),
        replace(above, steady=0.2),
        replace(above, steady=0.1, usual=(("a", 0.5),)),
    ]
    for one, other in combinations(different, 2):
        assert one.ref != other.ref
    assert all(policy.ref.name for policy in different)
    assert replace(above, usual=(("a", 0.5),)).ref == above.ref
    assert Weighted(weights={"b": 2, "a": 1}).ref == different[6].ref
    assert Cascade(drafting=frozenset("ba")).ref == Cascade(drafting=frozenset("ab")).ref
