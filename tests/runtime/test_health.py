"""What fails is left alone, comes back slowly, and is never retried beyond its budget."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from msgspec import structs

from tests.runtime.world import CODE, PATIENT, config, router
from tests.waiting import soon_here
from tests.worlds import deployment, price
from turnout import AllRoutesFailed, NoEligibleDeployment, Router
from turnout.core import Fault, FaultKind, Outcome, Route
from turnout.core.cooldown import Cooldown
from turnout.runtime.health import Health, HealthRules
from turnout.testing import FaultyUpstream
from turnout.testing.faults import ALWAYS_ASKED


class Clock:
    """A clock that stands until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        """The time, in seconds."""
        return self.now


def outcome(name: str, kind: FaultKind | None, **more: object) -> Outcome:
    """How a call to deployment ``name`` ended."""
    fault = Fault(kind=kind, detail="x", **more) if kind else None  # type: ignore[arg-type]
    place = Route(deployment=name, model=name, provider="p", role="primary", ordinal=0)
    status = "failed" if fault else "ok"
    return Outcome(decision_id="d", route=place, status=status, ordinal=0, error=fault)


def make_health(clock: Clock, **rules: float) -> Health:
    """The health of ``a`` and ``b`` at two providers."""
    known = {n: deployment(n, price(1, 1), provider=f"p-{n}") for n in ("a", "b")}
    return Health(known, HealthRules(**rules), clock)  # type: ignore[arg-type]


def call_ending(watched: Health, name: str, kind: FaultKind | None, **more: object) -> None:
    """One call from its beginning to its end."""
    watched.call_began(name)
    watched.call_ended(outcome(name, kind, **more))


def test_failures_in_a_row_open_the_breaker_for_a_time_that_doubles() -> None:
    """Five failures close the door for 5 s; the failing probe after it closes it for 10 s."""
    clock = Clock()
    watched = make_health(clock)
    for _ in range(4):
        call_ending(watched, "a", "unavailable")
    assert watched.unavailable() == {}
    call_ending(watched, "a", "timeout")
    assert "cooling down for 5.0 s after timeout" in str(watched.unavailable()["a"])
    clock.now += 5
    assert watched.unavailable() == {}
    call_ending(watched, "a", "unavailable")
    assert "cooling down for 10.0 s" in str(watched.unavailable()["a"])


def test_a_success_between_failures_keeps_the_door_open() -> None:
    """Only failures in a row count."""
    watched = make_health(Clock())
    for _ in range(2):
        for _ in range(4):
            call_ending(watched, "a", "unavailable")
        call_ending(watched, "a", None)
    assert watched.unavailable() == {}


def test_an_answer_under_way_when_the_breaker_opened_closes_it() -> None:
    """It shows that the deployment answers, unlike a failure that began before."""
    watched = make_health(Clock())
    watched.call_began("a")
    for _ in range(5):
        call_ending(watched, "a", "unavailable")
    assert watched.cooling()["a"]
    watched.call_ended(outcome("a", None))
    assert watched.unavailable() == {}


def test_a_rate_limit_without_a_time_is_waited_out_as_an_outage_is() -> None:
    """The cooldown's own length, without a probe."""
    watched = make_health(Clock(), cooldown_s=7.0)
    call_ending(watched, "a", "rate_limited")
    assert watched.unavailable()["a"].wait_s == 7


def test_no_more_than_ten_retries_are_saved_up() -> None:
    """Beside the free ones; each that is made takes its own share back."""
    watched = make_health(Clock(), retry_reserve=1.0, retry_share=0.25)
    assert [watched.may_retry("a") for _ in range(2)] == [True, False]
    for _ in range(1000):
        call_ending(watched, "b", None)
    assert [watched.may_retry("b") for _ in range(10)] == [True] * 9 + [False]


def test_recovery_is_slow_at_first() -> None:
    """After a cooldown one call at a time is let through, then two, then four."""
    clock = Clock()
    watched = make_health(clock, failures=1)
    call_ending(watched, "a", "unavailable")
    clock.now += 6
    watched.call_began("a")
    assert "at its limit of 1" in str(watched.unavailable()["a"])
    watched.call_ended(outcome("a", None))
    watched.call_began("a")
    assert watched.unavailable() == {}
    watched.call_began("a")
    assert "at its limit of 2" in str(watched.unavailable()["a"])


def test_a_deployment_has_only_so_many_calls_at_a_time() -> None:
    """While it is well, too; the last one may begin, and one that ends makes room."""
    watched = make_health(Clock(), max_in_flight=2)
    watched.call_began("a")
    assert watched.unavailable() == {}
    watched.call_began("a")
    why = watched.unavailable()["a"]
    assert (why.kind, why.wait_s, str(why)) == ("at_limit", 0, "at its limit of 2 calls")
    assert watched.unavailable() == {"a": why}
    assert (watched.outstanding(["a", "b"]), watched.cooling()) == (
        {"a": 2, "b": 0},
        {"a": True, "b": False},
    )
    watched.call_ended(outcome("a", None))
    assert watched.unavailable() == {}


def test_nothing_of_an_outage_is_left_after_a_full_recovery() -> None:
    """The next one closes the door for the first time's length again, and any number may call."""
    clock = Clock()
    watched = make_health(clock, cooldown_s=5.0, failures=1)
    for _ in range(2):
        call_ending(watched, "a", "unavailable")
        clock.now += 100
    for _ in range(8):
        call_ending(watched, "a", None)
    for _ in range(65):
        watched.call_began("a")
    assert watched.unavailable() == {}
    watched.call_ended(outcome("a", "unavailable"))
    assert "cooling down for 5.0 s" in str(watched.unavailable()["a"])


def test_a_call_that_its_caller_left_tells_nothing() -> None:
    """It is no failure and no success, but no longer under way."""
    watched = make_health(Clock(), failures=2)
    call_ending(watched, "a", "unavailable")
    watched.call_began("a")
    watched.call_ended(structs.replace(outcome("a", None), status="cancelled"))
    assert watched.outstanding(["a"]) == {"a": 0}
    call_ending(watched, "a", "unavailable")
    assert watched.cooling()["a"]


def test_only_answers_tell_how_long_an_answer_takes() -> None:
    """Not labels, nor failures; a successor knows it, too."""
    watched, next_ = make_health(Clock()), make_health(Clock())
    label = structs.replace(outcome("a", None).route, role="classifier")
    for ended in (
        structs.replace(outcome("a", None), latency_ms=30.0),
        structs.replace(outcome("a", None), latency_ms=9000.0, route=label),
        structs.replace(outcome("a", "timeout"), latency_ms=9000.0),
    ):
        watched.call_began("a")
        watched.call_ended(ended)
    next_.take_over(watched)
    assert watched.latencies.expected_ms() == next_.latencies.expected_ms() == {"a": 30.0}


def test_what_another_process_tells_late_or_less_changes_nothing() -> None:
    """A cooldown that is over, and one that ends before the own; else recovery is slow."""
    clock = Clock()
    watched = make_health(clock)
    known = deployment("a", price(1, 1), provider="p-a").fingerprint

    def hear(until_s: float) -> None:
        cooldown = Cooldown(deployment=known, until_s=until_s, why="timeout", openings=1)
        watched.apply_cooldown(cooldown)

    hear(clock.now)
    for _ in range(2):
        watched.call_began("a")
    assert watched.unavailable() == {}
    hear(clock.now + 1)
    clock.now += 1
    assert "at its limit of 2 calls" in str(watched.unavailable()["a"])
    call_ending(watched, "a", "rate_limited", retry_after_s=30.0)
    hear(clock.now + 5)
    assert str(watched.unavailable()["a"]) == "cooling down for 30.0 s after rate_limited"


@pytest.mark.parametrize(
    ("kind", "wait_s"), [("timeout", 60.0), ("unauthorized", None), ("no_credit", None)]
)
def test_a_caller_is_told_a_time_only_where_waiting_helps(
    kind: FaultKind, wait_s: float | None
) -> None:
    """A refused key or an empty account does not come back by itself."""
    watched = make_health(Clock(), failures=1, cooldown_s=60.0)
    call_ending(watched, "a", kind)
    assert watched.unavailable()["a"].wait_s == wait_s


def test_a_rate_limit_is_kept_to_its_stated_time() -> None:
    """The time that the provider names is the cooldown, and no probe goes before it."""
    clock = Clock()
    watched = make_health(clock)
    for name in ("a", "b"):
        call_ending(watched, name, "rate_limited", retry_after_s=30.0)
    assert set(watched.unavailable()) == {"a", "b"}
    assert [why.wait_s for why in watched.unavailable().values()] == [30.0, 30.0]
    clock.now += 30
    assert watched.unavailable() == {}


def test_a_deployment_with_a_spent_limit_comes_last_until_the_reset() -> None:
    """Its exclusion says so; an answer that says that something is left ends it before its time."""
    clock = Clock()
    watched = make_health(clock)

    def answered(spent_s: float | None) -> None:
        watched.call_began("a")
        watched.call_ended(structs.replace(outcome("a", None), spent_s=spent_s))

    answered(30.0)
    answered(None)
    why = watched.unavailable()["a"]
    assert (why.kind, why.comes_last, why.wait_s) == ("limit_spent", True, 30.0)
    assert watched.unavailable() == {"a": why}
    clock.now += 30
    assert watched.unavailable() == {}
    answered(30.0)
    answered(0.0)
    assert watched.unavailable() == {}


@pytest.mark.parametrize(
    ("kind", "scope", "closed"),
    [
        ("rate_limited", "deployment", {"a", "a#2", "quota"}),
        ("rate_limited", "provider", {"a", "a#2", "quota", "other"}),
        ("unauthorized", "provider", {"a", "a#2", "other"}),
        ("not_found", "deployment", {"a"}),
    ],
)
def test_a_fault_closes_what_shares_its_cause(
    kind: FaultKind, scope: str, closed: set[str]
) -> None:
    """A rate limit the same model there or the same quota, a refused key all of its provider."""
    first = replace(deployment("a", price(1, 1)), quota="q")
    known = {
        "a": first,
        "a#2": replace(first, id="a#2"),
        "quota": replace(deployment("b", price(1, 1), provider="r"), quota="q"),
        "other": deployment("other", price(1, 1)),
        "elsewhere": deployment("a", price(1, 1), provider="r"),
    }
    told: list[Cooldown] = []
    watched = Health(known, HealthRules(), Clock())
    watched.on_cooldown = told.append
    call_ending(watched, "a", kind, scope=scope, retry_after_s=9.0)
    assert set(watched.unavailable()) == closed
    assert {(c.why, c.openings, c.comes_last) for c in told} == {(kind, 1, False)}
    assert {c.deployment for c in told} == {known[name].fingerprint for name in closed}
    del told[:]
    watched.call_began("elsewhere")
    watched.call_ended(structs.replace(outcome("elsewhere", None), spent_s=50.0))
    assert [(c.why, c.comes_last) for c in told] == [("rate_limited", True)]


def test_no_rate_limit_counts_for_longer_than_the_rules_allow() -> None:
    """Whether it was met or is only used up."""
    watched = make_health(Clock(), rate_limit_s=10.0)
    watched.call_began("a")
    watched.call_ended(structs.replace(outcome("a", None), spent_s=30.0))
    assert watched.unavailable()["a"].wait_s == 10
    call_ending(watched, "a", "rate_limited", retry_after_s=30.0)
    assert watched.unavailable()["a"].wait_s == 10


def test_a_cooldown_counts_more_than_a_spent_limit() -> None:
    """A failure after it closes the door; when all are closed, the other one is no probe."""
    clock = Clock()
    watched = make_health(clock)
    watched.call_began("a")
    watched.call_ended(structs.replace(outcome("a", None), spent_s=30.0))
    call_ending(watched, "b", "rate_limited", retry_after_s=60.0)
    assert [why.comes_last for why in watched.unavailable().values()] == [True, False]
    call_ending(watched, "a", "rate_limited", retry_after_s=60.0)
    assert [why.comes_last for why in watched.unavailable().values()] == [False, False]


def test_a_rate_limit_of_an_hour_is_kept_to_as_well() -> None:
    """What bounds our own cooldowns does not bound a time that a provider names."""
    clock = Clock()
    watched = make_health(clock)
    call_ending(watched, "a", "rate_limited", retry_after_s=3600.0)
    closed = watched.unavailable()
    assert (closed["a"].wait_s, closed["a"].after) == (3600.0, "rate_limited")
    assert "b" not in closed


def test_a_successor_keeps_cooldowns_that_no_configuration_repairs() -> None:
    """A rate limit, slow start and what is under way stay, a refused key is tried again."""
    clock = Clock()
    watched, next_ = make_health(clock, failures=1), make_health(clock, failures=1)
    watched.call_began("a")
    call_ending(watched, "a", "rate_limited", retry_after_s=30.0)
    call_ending(watched, "b", "unauthorized")
    next_.take_over(watched)
    assert set(next_.unavailable()) == {"a"}
    assert next_.cooling() == {"a": True, "b": False}
    assert next_.outstanding(["a"]) == {"a": 1}
    watched.call_ended(outcome("a", "timeout", blame="client"))
    assert next_.outstanding(["a"]) == {"a": 0}
    clock.now += 30
    next_.call_began("a")
    assert "at its limit of 1" in str(next_.unavailable()["a"])


def test_a_successor_knows_nothing_of_another_deployment_of_the_same_name() -> None:
    """Another key, price or place is another deployment."""
    clock = Clock()
    watched = make_health(clock)
    call_ending(watched, "a", "rate_limited", retry_after_s=30.0)
    other = Health({"a": deployment("a", price(1, 1), provider="q")}, HealthRules(), clock)
    other.take_over(watched)
    assert other.unavailable() == {}


def test_when_all_cool_down_the_first_to_return_is_probed() -> None:
    """Somebody has to find out that the outage is over."""
    clock = Clock()
    watched = make_health(clock, failures=1)
    call_ending(watched, "a", "unavailable")
    clock.now += 1
    call_ending(watched, "b", "unavailable")
    assert set(watched.unavailable()) == {"b"}
    assert set(watched.unavailable(without={"b"})) == {"b"}


def test_what_nobody_has_repaired_is_probed_last() -> None:
    """A refused key or name needs a person, though its cooldown may end before an outage's."""
    clock = Clock()
    watched = make_health(clock, failures=1, cooldown_s=90)
    call_ending(watched, "a", "not_found")
    assert watched.unavailable(without={"b"}) == {}
    call_ending(watched, "b", "unavailable")
    assert set(watched.unavailable()) == {"a"}


def test_retries_stay_within_a_tenth_of_the_calls() -> None:
    """Of 1,000 failing calls with a broken breaker no more than 103 are retried."""
    watched = make_health(Clock(), failures=10**9)
    retries = 0
    for _ in range(1000):
        call_ending(watched, "a", "unavailable")
        retries += watched.may_retry("a")
    assert 90 <= retries <= 103


def test_only_retries_cost_the_retry_budget() -> None:
    """Neither rate limits that go to a fallback nor a last failure do: two of three were lost."""
    health = {**ALWAYS_ASKED, "retry_share": 0.0, "retry_reserve": 2}
    with (
        FaultyUpstream(scripts={"acme/coder": "f-429-ra1"}) as upstream,
        router(upstream, health=health, fallbacks={"coder": ["fast"]}) as r,
    ):
        for _ in range(3):
            assert [o.route.deployment for o in r.chat(CODE).outcomes] == ["coder", "fast"]
        upstream.scripts["acme/coder"] = "f-500"
        tried = [[o.route.deployment for o in r.chat(CODE).outcomes] for _ in range(4)]
    assert [names.count("coder") for names in tried] == [2, 2, 1, 1]


async def test_no_fallback_is_called_before_the_time_that_its_provider_named() -> None:
    """Another request met its rate limit since the decision: the route after it answers."""
    async with FaultyUpstream() as upstream:
        scripts = {"coder": "f-500-slow2s", "strong": "f-429-ra60"}
        chosen = config(upstream, models=scripts, fallbacks={"coder": ["strong", "fast"]})
        chosen |= {"timeouts": PATIENT, "retries": {"retries": 0}}
        async with Router.from_config(chosen, environ={}) as r:
            asked = asyncio.ensure_future(r.achat(CODE))
            assert await soon_here(lambda: upstream.entries("f-500-slow2s"))
            with pytest.raises(AllRoutesFailed):
                await r.achat(CODE, model="strong")
            reply = await asked
        assert [o.route.deployment for o in reply.outcomes] == ["coder", "fast"]
        assert len(upstream.entries("f-429-ra60")) == 1


def test_a_callers_own_fault_costs_the_deployment_nothing() -> None:
    """Requests that are too long or refused for their content close no door."""
    watched = make_health(Clock(), failures=1)
    for kind in ("invalid_request", "context_length_exceeded", "content_filtered"):
        call_ending(watched, "a", kind)  # type: ignore[arg-type]
    assert watched.unavailable() == {}


def test_an_outage_is_not_made_worse() -> None:
    """200 requests to a model that always fails reach it at most 1.1 times each."""
    with (
        FaultyUpstream() as upstream,
        router(upstream, models={"coder": "f-500"}, fallbacks={"coder": []}) as r,
    ):
        for _ in range(200):
            with pytest.raises((AllRoutesFailed, NoEligibleDeployment)):
                r.chat(CODE, model="coder")
        assert len(upstream.entries("f-500")) <= 220


@pytest.mark.parametrize(
    ("today", "days"),
    [((2026, 12, 30), 2), ((2026, 11, 30), 1), ((2027, 2, 1), 28), ((2026, 1, 31, 12), 0.5)],
)
def test_a_spend_limit_is_out_until_the_month_is_over(today: tuple[int, ...], days: float) -> None:
    """No probe before the first of the next month in UTC, even when nothing else is left."""
    clock = Clock()
    known = {"a": deployment("a", price(1, 1))}
    wall = datetime(*(*today, 0)[:4], tzinfo=UTC).timestamp()
    watched = Health(known, HealthRules(), clock, lambda: wall)
    call_ending(watched, "a", "spend_limit", scope="provider")
    clock.now += days * 86_400 - 1
    assert "spend_limit" in str(watched.unavailable()["a"])
    clock.now += 2
    assert watched.unavailable() == {}


def test_waits_that_a_provider_names_are_retries_within_the_budget() -> None:
    """A 429 with a stated time is tried again only as long as the budget lasts."""
    clock = Clock()
    watched = make_health(clock, retry_reserve=2.0, retry_share=0.1)
    call_ending(watched, "a", "rate_limited", retry="rate_limit", retry_after_s=1.0)
    allowed = [watched.may_retry("a", stated=True) for _ in range(5)]
    assert sum(allowed) in (1, 2)
    assert not any(allowed[2:])
    assert not watched.may_retry("a")


def test_an_answer_that_began_before_a_rate_limit_does_not_lift_it() -> None:
    """It says nothing of the time that the provider named while it was under way."""
    clock = Clock()
    watched = make_health(clock)
    watched.call_began("a")
    call_ending(watched, "a", "rate_limited", retry_after_s=30.0)
    clock.now += 1
    watched.call_ended(outcome("a", None))
    assert "rate_limited" in str(watched.unavailable()["a"])
    clock.now += 29
    assert watched.unavailable() == {}


def test_what_was_under_way_when_the_door_closed_does_not_lengthen_it() -> None:
    """A hundred calls that fail together close it for the first time, not for the longest."""
    clock = Clock()
    watched = make_health(clock)
    for _ in range(100):
        watched.call_began("a")
    for _ in range(100):
        watched.call_ended(outcome("a", "unavailable"))
    assert "5.0 s" in str(watched.unavailable()["a"])


def test_what_was_chosen_before_the_door_closed_is_no_probe() -> None:
    """Calls that begin as it closes, and fail, do not make the first cooldown the longest."""
    clock = Clock()
    watched = make_health(clock)
    for _ in range(100):
        watched.note_choice("a")
    for _ in range(100):
        call_ending(watched, "a", "unavailable")
    assert "5.0 s" in str(watched.unavailable()["a"])


def test_who_arrives_together_shares_the_places_that_there_are() -> None:
    """A choice takes a place until its call begins, is dropped, or does not come for a second."""
    clock = Clock()
    watched = make_health(clock, max_in_flight=2)
    watched.note_choice("a")
    assert watched.unavailable() == {}
    watched.note_choice("a")
    assert watched.unavailable()["a"].kind == "at_limit"
    assert watched.outstanding(["a"]) == {"a": 2}
    watched.call_began("a")
    assert watched.unavailable()["a"].kind == "at_limit"
    watched.drop_choice("a")
    assert watched.unavailable() == {}
    watched.note_choice("a")
    assert watched.unavailable()["a"].kind == "at_limit"
    clock.now += 1
    assert watched.unavailable() == {}


def test_one_probe_at_a_time_however_many_arrive() -> None:
    """The one that is about to begin counts; when it fails, the cooldown doubles."""
    clock = Clock()
    watched = make_health(clock)
    for name in ("a", "b"):
        for _ in range(5):
            call_ending(watched, name, "unavailable")
    assert set(watched.unavailable()) == {"b"}
    watched.note_choice("a")
    assert set(watched.unavailable()) == {"a"}
    watched.note_choice("b")
    assert set(watched.unavailable()) == {"a", "b"}
    call_ending(watched, "a", "unavailable")
    clock.now += 9
    assert watched.cooling()["a"]


def _two_sharing(clock: Clock, shared: list[Cooldown]) -> tuple[Health, Health]:
    """Two processes' health, each told at once what the other learns."""
    one, two = make_health(clock), make_health(clock)

    def deliver(to: Health, cooldown: Cooldown) -> None:
        shared.append(cooldown)
        to.apply_cooldown(cooldown)

    one.on_cooldown, two.on_cooldown = (lambda c: deliver(two, c)), (lambda c: deliver(one, c))
    return one, two


def test_what_one_process_learns_holds_in_the_other() -> None:
    """Rate limits, refused keys and breakers, told once for a hundred calls that fail alike."""
    clock, shared = Clock(), list[Cooldown]()
    one, two = _two_sharing(clock, shared)
    for _ in range(100):
        call_ending(one, "a", "rate_limited", retry_after_s=30.0)
    call_ending(two, "b", "unauthorized", scope="provider")
    for watched in (one, two):
        closed = watched.unavailable()
        assert "30.0 s after rate_limited" in str(closed["a"])
        # The last one is let through as a probe, and never one whose provider named a time.
        assert "b" not in closed
        assert watched.cooling() == {"a": True, "b": True}
    assert len(shared) == 2
    clock.now += 31
    assert one.cooling() == two.cooling() == {"a": False, "b": True}


def test_a_spent_limit_of_one_process_is_spent_in_the_other() -> None:
    """Told once for a hundred answers that say so, and once when there is something left again."""
    clock, shared = Clock(), list[Cooldown]()
    one, two = _two_sharing(clock, shared)

    def answered(watched: Health, spent_s: float) -> None:
        watched.call_began("a")
        watched.call_ended(structs.replace(outcome("a", None), spent_s=spent_s))

    for _ in range(50):
        answered(one, 30.0)
        answered(two, 30.0)
    for watched in (one, two):
        assert watched.unavailable()["a"].comes_last
        assert watched.cooling()["a"] is False
    assert len(shared) == 1
    call_ending(one, "a", "rate_limited", retry_after_s=60.0)
    clock.now += 5
    assert two.unavailable()["a"].kind == "cooling_down"
    clock.now += 56
    answered(one, 30.0)
    assert two.unavailable()["a"].comes_last
    answered(two, 0.0)
    assert not one.unavailable()
    assert len(shared) == 4


def test_a_breaker_that_two_processes_open_doubles_once() -> None:
    """Both try when its time is over, both fail: the next one is twice as long, not four times."""
    clock, shared = Clock(), list[Cooldown]()
    one, two = _two_sharing(clock, shared)
    for _ in range(5):
        call_ending(one, "a", "unavailable")
    clock.now += 5
    for watched in (one, two):
        watched.call_began("a")
    for watched in (one, two):
        watched.call_ended(outcome("a", "unavailable"))
    assert "10.0 s" in str(one.unavailable()["a"])
    clock.now += 10
    assert one.cooling()["a"] == two.cooling()["a"] is False
    call_ending(two, "a", "unavailable")
    assert "20.0 s" in str(one.unavailable()["a"])


def test_a_cooldown_is_not_for_a_changed_deployment_of_the_same_name() -> None:
    """A key that was refused says nothing of its successor, which a reload has brought."""
    clock, shared = Clock(), list[Cooldown]()
    one, two = make_health(clock), make_health(clock)
    one.on_cooldown = shared.append
    call_ending(one, "a", "unauthorized")
    changed = {"a": deployment("a", price(1, 1), provider="other")}
    other = Health(changed, HealthRules(), clock)
    for watched in (two, other):
        watched.apply_cooldown(shared[0])
    assert (two.cooling()["a"], other.cooling()["a"]) == (True, False)


def test_an_answer_that_was_slow_is_forgotten_in_time() -> None:
    """Else a limit on latency would leave a deployment out for good after a single slow answer."""
    clock = Clock()
    watched = make_health(clock)
    watched.latencies.prior = {"b": 700.0}
    watched.call_began("a")
    watched.call_ended(structs.replace(outcome("a", None), latency_ms=9000.0))
    assert watched.latencies.expected_ms() == {"a": 9000.0, "b": 700.0}
    clock.now += 301
    assert watched.latencies.expected_ms() == {"b": 700.0}
