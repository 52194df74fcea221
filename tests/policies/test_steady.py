"""The margin that keeps a choice: laws of ``CheapestAboveQuality`` with ``steady``."""

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec import structs

from turnout.core import (
    Candidate,
    Constraints,
    Features,
    Prediction,
    Ref,
    Request,
    Snapshot,
)
from turnout.policies import CheapestAboveQuality, Situation

USUAL = (("large", 0.9), ("mid", 0.7), ("small", 0.5))
STEADY = CheapestAboveQuality(quality=0.95, steady=0.1, usual=USUAL)
FREE = CheapestAboveQuality(quality=0.95)

_SHARE = st.floats(0, 1)
_POOL = st.lists(
    st.builds(
        Candidate,
        deployment=st.sampled_from(["a", "b", "c", "d"]),
        model=st.sampled_from(["small", "mid", "large", "unheard"]),
        cost_pico_usd=st.none() | st.integers(0, 100),
        quality=st.none() | _SHARE,
    ),
    min_size=1,
    unique_by=lambda candidate: candidate.deployment,
)
_MARGIN = st.builds(CheapestAboveQuality, quality=_SHARE, steady=_SHARE, usual=st.just(USUAL))


def situation(strange: float | None, quality: float | None = None) -> Situation:
    """A request as strange as that."""
    return Situation(
        request=Request(id="r_1", body={}, constraints=Constraints(quality=quality)),
        features=Features(input_tokens={}, output_tokens=0),
        prediction=Prediction(classifier=Ref(name="success"), strange=strange),
        snapshot=Snapshot(),
        intent=None,
    )


def pool(small: float, mid: float, large: float) -> list[Candidate]:
    """Three models of rising price with these P(success)."""
    found = {"small": small, "mid": mid, "large": large}
    return [
        Candidate(deployment=name, model=name, cost_pico_usd=10**place, quality=quality)
        for place, (name, quality) in enumerate(found.items())
    ]


def first(policy: CheapestAboveQuality, candidates: list[Candidate], now: Situation) -> str:
    """Who is tried first."""
    return policy.rank(candidates, now)[0].deployment


def test_a_near_tie_on_a_strange_prompt_stays_where_the_means_put_it() -> None:
    """A usually weak model that just passes is not taken; on a known prompt it is."""
    near = pool(0.5, 0.88, 0.9)
    assert first(FREE, near, situation(1.0)) == "mid"
    ranking = [score.deployment for score in STEADY.rank(near, situation(1.0))]
    assert ranking == ["large", "mid", "small"]
    assert STEADY.rank([], situation(1.0)) == []
    assert first(STEADY, near, situation(0.0)) == "mid"


def test_a_clear_contrast_moves_the_choice_however_strange_the_prompt() -> None:
    """A model that is predicted best of all is never held back by its mean."""
    assert first(STEADY, pool(0.5, 0.9, 0.8), situation(1.0)) == "mid"
    assert first(STEADY, pool(0.5, 0.9, 0.88), situation(1.0)) == "mid"
    assert first(STEADY, pool(0.9, 0.6, 0.6), situation(1.0)) == "small"


def test_whoever_falls_short_is_left_as_without_a_margin() -> None:
    """The margin keeps nobody whose own prediction is below the share."""
    assert first(STEADY, pool(0.3, 0.95, 0.6), situation(1.0)) == "mid"


def test_a_request_that_asks_for_nothing_gets_the_cheapest() -> None:
    """Where no quality is asked for, no mean is too low."""
    assert first(STEADY, pool(0.1, 0.5, 0.9), situation(1.0, quality=0.0)) == "small"


@given(candidates=_POOL, strange=st.none() | _SHARE, quality=_SHARE)
def test_no_margin_is_todays_rule(
    candidates: list[Candidate], strange: float | None, quality: float
) -> None:
    """Margin 0, a known prompt, or nobody who says how strange it is: the same ranking."""
    free, none = CheapestAboveQuality(quality=quality), situation(None)
    unmoved = replace(free, usual=USUAL)
    wide = replace(free, steady=1.0, usual=USUAL)
    assert unmoved.rank(candidates, situation(strange)) == free.rank(candidates, none)
    assert wide.rank(candidates, none) == free.rank(candidates, none)
    assert wide.rank(candidates, situation(0.0)) == free.rank(candidates, none)


@given(candidates=_POOL, policy=_MARGIN, strange=_SHARE)
def test_a_margin_never_lowers_the_predicted_quality_that_is_asked_for(
    candidates: list[Candidate], policy: CheapestAboveQuality, strange: float
) -> None:
    """Whoever comes first passes the share without the margin too, and all stay in the ranking."""
    ranked = [s.deployment for s in policy.rank(candidates, situation(strange))]
    assert sorted(ranked) == sorted(c.deployment for c in candidates)
    quality = {c.deployment: c.quality or 0.0 for c in candidates}
    assert quality[ranked[0]] >= policy.quality * max(quality.values())


@given(candidates=_POOL, policy=_MARGIN, strange=_SHARE, cheaper=st.integers(0, 100))
def test_a_choice_that_gets_cheaper_stays_the_choice(
    candidates: list[Candidate], policy: CheapestAboveQuality, strange: float, cheaper: int
) -> None:
    """Lowering the price of the chosen one, and of no other, moves nothing."""
    now = situation(strange)
    chosen = first(policy, candidates, now)
    mine = next(c for c in candidates if c.deployment == chosen)
    assume(mine.cost_pico_usd is None or cheaper <= mine.cost_pico_usd)
    lowered = [structs.replace(c, cost_pico_usd=cheaper) if c is mine else c for c in candidates]
    assert first(policy, lowered, now) == chosen


@given(candidates=_POOL, policy=_MARGIN, strange=_SHARE, surer=_SHARE)
def test_a_wider_margin_lets_fewer_pass(
    candidates: list[Candidate], policy: CheapestAboveQuality, strange: float, surer: float
) -> None:
    """The choice's price never falls as prompts get stranger."""
    low, high = sorted((strange, surer))
    prices = {
        c.deployment: float("inf") if c.cost_pico_usd is None else c.cost_pico_usd
        for c in candidates
    }
    known, unknown = (first(policy, candidates, situation(s)) for s in (low, high))
    assert prices[known] <= prices[unknown]
