"""The gateway serves intents of the user's own, and labels that are asked for."""

from tests.gateway.world import chat, messages, world
from tests.runtime.test_own_intents import ASKED, BILLING
from tests.runtime.world import CODE

INTENTS = {"simple_qa": "fast", "creative": "strong", "code": "coder", "unsafe": "block"}


def test_the_answer_names_the_own_intent() -> None:
    """In every dialect the header carries it and its model answers."""
    with world(intents={**INTENTS, "billing": BILLING}) as w:
        for path, body in (("/v1/chat/completions", chat), ("/v1/messages", messages)):
            answer = w.post(path, body(ASKED))
            assert answer.headers["x-turnout-intent"] == "billing"
            assert answer.headers["x-turnout-model"] == "acme/strong"
            assert w.post(path, body()).headers["x-turnout-intent"] == "simple_qa"


def test_a_label_that_could_not_be_had_is_seen_in_the_answer() -> None:
    """The request goes to the default, and the header says why."""
    classifier = {
        "kind": "hybrid",
        "model": "strong",
        "deadline_s": 30,
        "band": {"confidence": 1.0, "unsafe": 0.0},
    }
    with world(classifier=classifier) as w:
        w.upstream.replies["acme/strong"] = "banana"
        answer = w.post("/v1/chat/completions", chat(CODE))
    assert answer.headers["x-turnout-intent"] == "unknown"
    assert answer.headers["x-turnout-reason"] == "no label -> default fast"
    assert answer.headers["x-turnout-attempts"] == "1"
    assert len(w.upstream.requests) == 2
