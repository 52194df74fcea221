"""Recorded requests under other rules: who would go elsewhere, and the difference in cost."""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from msgspec import structs

from tests.ledger.conftest import MakeStore
from tests.ledger.money import (
    CATALOG,
    ReportedRequest,
    decided,
    deployment,
    failed,
    label_call,
    make_request,
    outcome,
    report_request,
    rules,
    traffic,
)
from turnout.catalog import Catalog, Deployment, Provider
from turnout.core import EMBEDDING, ConfigError, Prediction, Ref, Snapshot, Usage
from turnout.decision import Rulebook, SafetyRule, decide
from turnout.evaluation.redeciding import (
    BLOCKED,
    NO_MODEL,
    REFUSED,
    Comparison,
    check_replayable,
    compare,
    decide_again,
    opinions_in,
)
from turnout.ledger import Ledger, Store, savings
from turnout.ledger.sqlite import SqliteStore
from turnout.policies import Cascade, Explore, IntentMap, Rule, Rules

_MID_FOR_CODE = IntentMap(routes={"code": "mid", "chat": "small"}, default="small")


def _record(
    store: Store, reported: Sequence[ReportedRequest], stand_in: Deployment | None = None
) -> None:
    async def write() -> None:
        with Ledger(store, catalog=CATALOG, stand_in=stand_in) as ledger:
            for one in reported:
                await report_request(ledger, one)

    asyncio.run(write())


def _compared(store: Store, other: Rulebook, since_ms: int = 0) -> Comparison:
    return compare(decide_again(store, other, since_ms), opinions_in(store))


def _one(place: Path, other: Rulebook, reported: ReportedRequest) -> tuple[object, ...]:
    """The only move, without its names: where to, how many compared, both costs."""
    _record(SqliteStore(place), [reported])
    (move,) = _compared(SqliteStore(place), other).moves
    return move.now, move.compared, move.then_pico_usd, move.now_pico_usd


def _answered(usage: Usage | None = None, **more: object) -> ReportedRequest:
    request = make_request(7)
    decision = decided(request)
    calls = (outcome(decision, usage or Usage(input=120, output=24), **more),)
    return ReportedRequest(request, decision, calls)


def test_the_rules_of_then_decide_as_then(make_store: MakeStore) -> None:
    """Nothing moves, and the costs are those of the savings report, for any number of pages."""
    reported = list(traffic(1_100))
    _record(make_store(), reported)
    again = list(decide_again(make_store(), rules()))
    assert [one.now for one in again] == [one.decision for one in reported]
    found = compare(again, {})
    assert found.changes == []
    total, blocked = found.total, sum(one.decision.blocked is not None for one in reported)
    assert (total.requests, total.compared) == (1_100, 1_100 - blocked)
    assert total.then_pico_usd == total.now_pico_usd == savings(make_store()).total.sums["cost"]


def _mid_cost(one: ReportedRequest) -> int:
    """The labels' cost, and the answer at the middle model: dollars first, exactly."""
    used = one.outcomes[-1].usage
    answered = one.outcomes[-1].route.deployment
    prompt = one.decision.features.input_tokens["o200k_base"]
    counted = {"large": Fraction(6, 5) * prompt, "mid": Fraction(prompt)}
    counted["small"] = Fraction(one.decision.features.input_tokens["qwen3"])
    ratio = counted["mid"] / counted[answered]
    read = math.ceil(used.cache_read * ratio)
    fresh = math.ceil((used.input + used.cache_read) * ratio) - read
    out = math.ceil((used.output + used.reasoning) * ratio)
    labels = sum(
        o.usage.input + 2 * o.usage.output for o in one.outcomes if o.route.role == "classifier"
    )
    return labels * 10**6 + fresh * 3 * 10**6 + read * 3 * 10**5 + out * 6 * 10**6


def test_other_rules_move_requests_at_their_own_cost(make_store: MakeStore) -> None:
    """Code goes to the middle model: its cost is counted anew, that of all else is kept."""
    reported = list(traffic(300))
    _record(make_store(), reported)
    found = _compared(make_store(), replace(rules(), policy=_MID_FOR_CODE))
    code = [t for t in reported if t.decision.intent == "code" and not t.decision.blocked]
    (move,) = found.changes
    assert (move.then, move.now, move.requests) == ("acme/large", "acme/mid", len(code))
    assert move.compared == len(code)
    assert move.now_pico_usd == sum(map(_mid_cost, code))
    assert (move.example, move.why) == (code[-1].decision.id, "code → mid")
    assert found.quality_then is not None
    assert found.quality_now is not None
    served = len([t for t in reported if not t.decision.blocked])
    assert found.rated == served
    assert found.quality_then - found.quality_now == pytest.approx(0.2 * len(code) / served)
    report = found.as_dict()
    assert report["changed"] == len(code)
    assert sum(move["requests"] for move in report["moves"]) == report["requests"] == 300


def test_a_stricter_threshold_blocks_at_no_cost(tmp_path: Path) -> None:
    """But that of labels; a looser one lets pass what was blocked, whose cost nobody knows."""
    _record(SqliteStore(tmp_path / "l"), list(traffic(33)))
    strict = replace(rules(), safety=SafetyRule(threshold=0.005, refusal="no"))
    found = _compared(SqliteStore(tmp_path / "l"), strict)
    assert {move.now for move in found.moves} == {BLOCKED}
    labels = sum((80 + 2 * 2) * 10**6 for n in range(33) if n % 4 == 0 and n % 11 != 10)
    assert (found.total.now_pico_usd, found.total.compared) == (labels, 30)
    loose = replace(rules(), safety=SafetyRule(threshold=0.95, refusal="no"))
    opened = _compared(SqliteStore(tmp_path / "l"), loose).changes
    assert {(move.then, move.compared) for move in opened} == {(BLOCKED, 0)}
    assert sum(move.requests for move in opened) == 3


def test_the_time_from_which_requests_count(tmp_path: Path) -> None:
    """That of the request in the ledger."""
    _record(SqliteStore(tmp_path / "l"), list(traffic(5)))
    store = SqliteStore(tmp_path / "l")
    (latest,) = store.fetch("SELECT max(at_ms) FROM requests")[0]
    assert _compared(store, rules(), latest + 1).moves == []
    assert _compared(store, rules(), 1).total.requests == 5


def test_a_model_that_is_gone_is_refused_to_those_who_named_it(tmp_path: Path) -> None:
    """With the reason; a plan without any model is one, too."""
    request = make_request(1, model="large")
    named = decide(
        request, decided(request).features, decided(request).prediction, Snapshot(), rules()
    )
    reported = ReportedRequest(request, named, (outcome(named, Usage(input=9, output=9)),))
    fewer = Catalog(deployments={"small": CATALOG.deployments["small"]})
    other = replace(rules(), catalog=fewer, policy=IntentMap(routes={}, default="small"))
    _record(SqliteStore(tmp_path / "l"), [reported])
    (move,) = _compared(SqliteStore(tmp_path / "l"), other).moves
    assert (move.now, move.compared) == (REFUSED, 0)
    assert move.why.startswith("model 'large' is not configured")
    tiny = deployment("small", 1, 2, 0.5, context_window=10)
    narrow = replace(other, catalog=Catalog(deployments={"small": tiny}))
    assert _one(tmp_path / "m", narrow, _answered())[:2] == (NO_MODEL, 0)


def test_a_model_that_answered_and_is_gone_keeps_its_counts(tmp_path: Path) -> None:
    """Its tokenizer is no longer known; one that is new counts as the longest known one does."""
    new = deployment("new", 2, 4, 0.5, tokenizer="cl100k_base", token_factor=1.5)
    other = replace(
        rules(),
        catalog=Catalog(deployments={"new": new}),
        policy=IntentMap(routes={}, default="new"),
    )
    expected = (120 * 2 + 24 * 4) * 10**6
    assert _one(tmp_path / "l", other, _answered())[0] == "acme/new"
    assert _one(tmp_path / "m", other, _answered())[3] == expected
    (again,) = decide_again(SqliteStore(tmp_path / "m"), other)
    assert again.now is not None
    assert again.now.features.input_tokens == {
        "o200k_base": 100, "qwen3": 110, "cl100k_base": 110
    }  # fmt: skip


def test_what_nobody_knows_is_not_compared(tmp_path: Path) -> None:
    """A failure, an unknown price, searches, a stand-in's answer, a draft's verdict."""
    other = replace(rules(), policy=_MID_FOR_CODE)
    large = Usage(input=120, output=24)
    assert _one(tmp_path / "1", other, replace(_answered(), outcomes=()))[1] == 0
    searched = structs.replace(large, searches=1)
    assert _one(tmp_path / "2", other, _answered(usage=searched))[1] == 0
    mid = replace(CATALOG.deployments["mid"], price=None)
    free = replace(other, catalog=Catalog(deployments={**CATALOG.deployments, "mid": mid}))
    assert _one(tmp_path / "3", free, _answered())[1] == 0
    drafts = Cascade(steps=2)
    assert _one(tmp_path / "4", replace(other, policy=drafts), _answered())[1] == 0
    unpriced = structs.replace(label_call(_answered().decision, large), model="x/unknown")
    labelled = replace(_answered(), outcomes=(unpriced, *_answered().outcomes))
    assert _one(tmp_path / "7", other, labelled)[1] == 0
    embedded = Provider(name="embedded", base_url="embedded://", family="embedded")
    stand_in = replace(deployment("tiny", 0, 0, 0.1), provider=embedded)
    _record(SqliteStore(tmp_path / "5"), [_answered(model="acme/tiny")], stand_in)
    assert _compared(SqliteStore(tmp_path / "5"), other).total.compared == 0
    known = (120 * 10 + 24 * 30) * 10**6
    assert _one(tmp_path / "6", other, _answered()) == (
        "acme/mid", 1, known, (100 * 3 + 20 * 6) * 10**6
    )  # fmt: skip


def test_a_draft_is_compared_with_a_draft_alone(tmp_path: Path) -> None:
    """Then it has the same verdict; where it was the answer itself, nobody knows one."""
    drafting = replace(rules(), policy=Cascade(steps=2))
    request = make_request(7)
    seen = decided(request)
    drafted = decide(request, seen.features, seen.prediction, Snapshot(), drafting)
    assert (drafted.routes[0].deployment, drafted.routes[0].role) == ("mid", "draft")
    used = Usage(input=100, output=24)
    calls = (outcome(drafted, used),)
    reported = ReportedRequest(request, drafted, calls)
    cost = (100 * 3 + 24 * 6) * 10**6
    assert _one(tmp_path / "1", drafting, reported) == ("acme/mid", 1, cost, cost)
    plain = replace(rules(), policy=IntentMap(routes={}, default="mid"))
    assert _one(tmp_path / "2", plain, reported) == ("acme/mid", 1, cost, cost)
    chosen = decide(request, seen.features, seen.prediction, Snapshot(), plain)
    calls = (outcome(chosen, used),)
    answered = ReportedRequest(request, chosen, calls)
    assert _one(tmp_path / "3", drafting, answered)[:2] == ("acme/mid", 0)


def test_a_stated_cost_is_compared(tmp_path: Path) -> None:
    """What a provider says it charged is the cost of then."""
    stated = _answered(stated_pico_usd=5, cost_pico_usd=5)
    found = _one(tmp_path / "l", replace(rules(), policy=_MID_FOR_CODE), stated)
    assert found == ("acme/mid", 1, 5, (100 * 3 + 20 * 6) * 10**6)


def test_a_fallback_that_answered_keeps_its_own_cost(tmp_path: Path) -> None:
    """If the other rules choose it at first: with labels, without the failed call before it."""
    request = make_request(7)
    decision = decided(request)
    fallback = next(r.ordinal for r in decision.routes if r.deployment == "mid")
    used = Usage(input=100, output=20)
    calls = (
        label_call(decision, Usage(input=80, output=2)),
        failed(decision, Usage(input=50, estimated=True)),
        outcome(decision, used, route=fallback),
    )
    reported = ReportedRequest(request, decision, calls)
    labels, cost = (80 + 2 * 2) * 10**6, (100 * 3 + 20 * 6) * 10**6
    found = _one(tmp_path / "l", replace(rules(), policy=_MID_FOR_CODE), reported)
    assert found == ("acme/mid", 1, labels + 50 * 10 * 10**6 + cost, labels + cost)


def test_an_answer_that_broke_off_is_compared_by_what_came(tmp_path: Path) -> None:
    """At the other model it is assumed to break off, too."""
    decision = _answered().decision
    used = Usage(input=120, output=12, estimated=True)
    broken = structs.replace(failed(decision, used), released=True)
    reported = replace(_answered(), outcomes=(broken,))
    found = _one(tmp_path / "l", replace(rules(), policy=_MID_FOR_CODE), reported)
    assert found == (
        "acme/mid", 1, (120 * 10 + 12 * 30) * 10**6, (100 * 3 + 10 * 6) * 10**6
    )  # fmt: skip


def test_embeddings_are_left_out(tmp_path: Path) -> None:
    """They have rules of their own; a label of the same name is decided again."""
    request = make_request(3)
    one = decided(request)
    for place, prediction, count in (
        ("vectors", EMBEDDING, 0),
        ("label", Prediction(classifier=Ref(name="mine"), label="embedding", harm=0.0), 1),
    ):
        vectors = structs.replace(one, prediction=prediction)
        _record(
            SqliteStore(tmp_path / place),
            [ReportedRequest(request, vectors, ())],
        )
        assert _compared(SqliteStore(tmp_path / place), rules()).total.requests == count


@pytest.mark.parametrize("reads", [{"keywords": ("x",)}, {"pattern": "x"}, {"tags": {"a": "b"}}])
def test_rules_that_read_the_text_are_refused(reads: dict[str, object]) -> None:
    """The ledger has no text; hours and kinds of calls it has."""
    below = rules().policy
    reading = Rules(rules=(Rule(name="law", deployment="large", **reads),), otherwise=below)
    for other in (
        replace(rules(), policy=reading),
        replace(rules(), policy=Explore(share=0.1, below=reading)),
        replace(rules(), policies={"rules": reading}),
    ):
        with pytest.raises(ConfigError, match="rule 'law' reads the text or the tags"):
            check_replayable(other)
    nightly = Rule(name="night", deployment="large", hours=(22, 6), kind="turn")
    check_replayable(replace(rules(), policy=Rules(rules=(nightly,), otherwise=below)))
