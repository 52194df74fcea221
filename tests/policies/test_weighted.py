"""A weighted split draws sessions, or requests, and keeps to what it drew."""

from collections import Counter

import pytest
from msgspec import structs

from tests.gateway.world import chat, world
from tests.worlds import features, prediction, request, rulebook
from turnout.core import Decision, Exclusion, Snapshot
from turnout.decision import decide
from turnout.policies.weighted import Split, Weighted

WEIGHTS = {"fast": 3, "coder": 1, "strong": 1}


def decided(
    number: int, session: str | None = None, *, split: Split = "session", without: str = ""
) -> Decision:
    """The decision on one request."""
    asked = structs.replace(request(ident=f"r_{number}"), session=session)
    closed = {without: Exclusion("at_limit", "busy")} if without else {}
    book = rulebook(Weighted(weights=WEIGHTS, split=split))
    return decide(asked, features(), prediction(), Snapshot(unavailable=closed), book)


def test_a_session_stays_at_its_model_and_sessions_are_shared_by_weight() -> None:
    """Three fifths of the sessions, whatever the ids of their requests."""
    firsts = [{decided(i, f"s{n}").deployment for i in range(3)} for n in range(1000)]
    assert {len(found) for found in firsts} == {1}
    assert 560 < Counter(found.pop() for found in firsts)["fast"] < 640


@pytest.mark.parametrize(("session", "split"), [(None, "session"), ("s1", "request")])
def test_requests_are_drawn_one_by_one(session: str | None, split: Split) -> None:
    """Those without a session, and all of them if the configuration wants it."""
    firsts = Counter(decided(i, session, split=split).deployment for i in range(1000))
    assert 560 < firsts["fast"] < 640
    assert set(firsts) == set(WEIGHTS)


def test_only_the_sessions_of_a_model_that_is_out_move() -> None:
    """They share the others by weight, and propensities are the shares of those that are left."""
    moved = Counter[str | None]()
    for n in range(1000):
        usual, now = decided(0, f"s{n}"), decided(1, f"s{n}", without="fast")
        assert {c.deployment: c.propensity for c in now.candidates if not c.excluded} == {
            "coder": 0.5,
            "strong": 0.5,
        }
        if usual.deployment == "fast":
            assert now.deployment == usual.routes[1].deployment
            moved[now.deployment] += 1
        else:
            assert now.deployment == usual.deployment
    assert 240 < moved["coder"] < 360
    assert 240 < moved["strong"] < 360


@pytest.mark.parametrize(("split", "models"), [("session", 1), ("request", 2)])
def test_the_gateway_keeps_a_session_at_its_model(split: str, models: int) -> None:
    """The header names it, in both dialects."""
    policy = {"name": "weighted", "weights": {"fast": 1, "strong": 1}, "split": split}
    with world(policy=policy, ledger="off") as w:
        session = {"x-turnout-session": "s1"}
        answers = [
            w.post(path, chat(max_tokens=9), session)
            for path in ("/v1/chat/completions", "/v1/messages")
            for _ in range(8)
        ]
    assert len({answer.headers["x-turnout-model"] for answer in answers}) == models
