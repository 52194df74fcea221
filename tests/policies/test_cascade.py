"""Which drafts a cascade makes."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.worlds import NOW, features, prediction, request
from turnout.core import Candidate, Exclusion
from turnout.policies import Cascade, Score, Situation

POOLS = st.lists(st.tuples(st.integers(1, 10**9), st.floats(0, 1)), min_size=1, max_size=8)


def pool(*pairs: tuple[int | None, float]) -> list[Candidate]:
    """Candidates a, b, c, ... of these costs and qualities."""
    return [
        Candidate(deployment=chr(97 + n), model=chr(97 + n), cost_pico_usd=cost, quality=quality)
        for n, (cost, quality) in enumerate(pairs)
    ]


def ranked(
    candidates: list[Candidate],
    policy: Cascade,
    closed: Mapping[str, Exclusion] | None = None,
    **seen: bool,
) -> list[Score]:
    """The policy's scores, best first."""
    situation = Situation(
        request=request(),
        features=features(**seen),
        prediction=prediction(),
        snapshot=structs.replace(NOW, unavailable=closed or {}),
        intent="code",
    )
    return sorted(policy.rank(candidates, situation), key=lambda score: -score.value)


def names(scores: list[Score]) -> str:
    """The order of deployments; a draft has a question mark."""
    return "".join(s.deployment + ("?" if s.draft else "") for s in scores)


@pytest.mark.parametrize(
    ("pairs", "steps", "order"),
    [
        (((100, 0.9), (10, 0.6)), 2, "b?a"),
        (((100, 0.9), (10, 0.6)), 1, "ab"),
        (((100, 0.9), (50, 0.5)), 2, "ab"),  # pays 50 to save half of 100
        (((100, 0.9), (49, 0.5)), 2, "b?a"),
        (((100, 0.9), (50, 0.8), (1, 0.5)), 2, "c?ab"),
        (((100, 0.9), (20, 0.8), (1, 0.5)), 3, "c?b?a"),
        (((None, 0.9), (10, 0.6)), 2, "b?a"),
        (((100, 0.9), (None, 0.8)), 2, "ab"),
    ],
)
def test_a_draft_must_save_what_it_costs(
    pairs: tuple[tuple[int | None, float], ...], steps: int, order: str
) -> None:
    """Cheap and likely drafts come first; the last step and its fallbacks are not verified."""
    assert names(ranked(pool(*pairs), Cascade(steps=steps))) == order


@given(POOLS, st.integers(1, 5))
def test_a_ladder_never_costs_more_than_its_top(pairs: list[tuple[int, float]], steps: int) -> None:
    """Everybody is ranked once, drafts lead, and the expected cost is at most the top's own."""
    candidates = pool(*pairs)
    scores = ranked(candidates, Cascade(steps=steps))
    assert sorted(s.deployment for s in scores) == sorted(c.deployment for c in candidates)
    drafts = [s.draft for s in scores]
    assert drafts == sorted(drafts, reverse=True)
    by_name = {c.deployment: c for c in candidates}
    top = by_name[scores[sum(drafts)].deployment]
    assert top.quality == max(c.quality or 0.0 for c in candidates)
    paid = float(top.cost_pico_usd or 0)
    for score in reversed(scores[: sum(drafts)]):
        draft = by_name[score.deployment]
        paid = (draft.cost_pico_usd or 0) + (1 - (draft.quality or 0.0)) * paid
    assert paid <= (top.cost_pico_usd or 0) * (1 + 1e-9)


def test_what_no_schema_can_verify_is_not_drafted() -> None:
    """A plain text goes to the top at once, JSON and tools are drafted."""
    policy, candidates = Cascade(steps=2, needs_schema=True), pool((100, 0.9), (10, 0.6))
    assert names(ranked(candidates, policy)) == "ab"
    assert names(ranked(candidates, policy, needs_json=True)) == "b?a"
    assert names(ranked(candidates, policy, needs_tools=True)) == "b?a"


def test_what_nobody_can_verify_is_not_drafted() -> None:
    """No draft while the judge takes no call, and only by models whose drafts it can verify."""
    candidates = pool((100, 0.9), (10, 0.65), (20, 0.7))
    closed = {"j": Exclusion("cooling_down", "cooling down", wait_s=5.0)}
    assert names(ranked(candidates, Cascade(steps=2, judge="j"))) == "b?ac"
    assert names(ranked(candidates, Cascade(steps=2, judge="j"), closed=closed)) == "acb"
    assert names(ranked(candidates, Cascade(steps=2, judge="k"), closed=closed)) == "b?ac"
    assert names(ranked(candidates, Cascade(steps=2, drafting=frozenset("ac")))) == "c?ab"
