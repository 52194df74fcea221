"""A model that labels or judges too late is left alone in that role, and comes back by itself."""

from tests.runtime.test_health import Clock
from turnout.core import Role
from turnout.runtime.health import HealthRules
from turnout.runtime.lateness import Lateness

RULES = HealthRules(failures=3, cooldown_s=5, longest_s=12)


def late(watched: Lateness, clock: Clock, role: Role = "verifier") -> None:
    """One question that is given up at its deadline."""
    asked_s = watched.asked(role, "judge", 1)
    clock.now += 1
    watched.was_late(role, "judge", asked_s)


def test_late_answers_in_a_row_close_a_role_for_a_time_that_doubles() -> None:
    """Three close it for 5 s, one more after that for 10 s, then for the longest time."""
    clock = Clock()
    watched = Lateness(RULES, clock)
    for _ in range(2):
        late(watched, clock)
    assert watched.closed("verifier") == ()
    late(watched, clock)
    for wait_s in (5, 10, 12):
        clock.now += wait_s - 0.1
        assert watched.closed("verifier") == ("judge",)
        clock.now += 0.1
        assert watched.closed("verifier") == ()
        late(watched, clock)


def test_an_answer_in_time_forgets_the_late_ones() -> None:
    """Only late answers in a row count, and each role has a row of its own."""
    clock = Clock()
    watched = Lateness(RULES, clock)
    for _ in range(5):
        late(watched, clock)
        late(watched, clock, "classifier")
        watched.was_in_time("verifier", "judge")
    assert watched.closed("verifier") == ()
    assert watched.closed("classifier") == ("judge",)
    watched.was_in_time("classifier", "judge")
    assert watched.closed("classifier") == ()


def test_one_question_at_a_time_finds_out_whether_it_is_back() -> None:
    """It keeps others away for as long as its answer may take."""
    clock = Clock()
    watched = Lateness(RULES, clock)
    for _ in range(3):
        late(watched, clock)
    clock.now += 5
    assert watched.closed("verifier") == ()
    watched.asked("verifier", "judge", 2)  # its caller leaves, so that nobody learns how it ended
    assert watched.closed("verifier") == ("judge",)
    clock.now += 2
    assert watched.closed("verifier") == ()


def test_questions_that_were_under_way_when_it_closed_tell_nothing_new() -> None:
    """However many there are, and those that were asked meanwhile, it is closed once."""
    clock = Clock()
    watched = Lateness(RULES, clock)
    asked = [watched.asked("verifier", "judge", 1) for _ in range(9)]
    clock.now += 1
    asked += [watched.asked("verifier", "judge", 1) for _ in range(2)]
    for at in asked[:9]:
        watched.was_late("verifier", "judge", at)
    asked.append(watched.asked("verifier", "judge", 1))
    clock.now += 1
    for at in asked[9:]:
        watched.was_late("verifier", "judge", at)
    clock.now += 4
    assert watched.closed("verifier") == ()
