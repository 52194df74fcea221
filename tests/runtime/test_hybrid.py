"""A hybrid asks a model only where the local verdict is unsure, and survives its failures."""

from typing import Any

import pytest

from tests.runtime.world import CODE, FACT, PATIENT, UNSAFE, config
from turnout import Router
from turnout.testing import FaultyUpstream

# No verdict is sure enough, so that every prompt that is not blocked is asked about.
ALWAYS = {"confidence": 1.0, "unsafe": 0.0}
NEVER = {"confidence": 0.0, "unsafe": 1.0}


def hybrid(
    upstream: FaultyUpstream,
    judge: str = "acme/judge",
    health: dict[str, Any] | None = None,
    **classifier: Any,
) -> Router:
    """A router that may ask ``judge``."""
    settings = config(upstream, timeouts=PATIENT, health=health or {})
    settings["models"]["judge"] = {"model": judge, "price": {"input": "0.27", "output": "0.40"}}
    settings["classifier"] = {"kind": "hybrid", "model": "judge", "deadline_s": 30, **classifier}
    return Router.from_config(settings, environ={})


def test_a_sure_verdict_asks_nobody() -> None:
    """Outside the band the local label is served, and no call is made."""
    with FaultyUpstream() as upstream, hybrid(upstream, band=NEVER) as r:
        decision, calls = r.route_with_calls(CODE)
    assert (decision.intent, decision.prediction.label) == ("code", None)
    assert (calls, upstream.requests) == ((), [])


def test_an_unsure_verdict_follows_the_label() -> None:
    """Inside the band the model's label routes, and its call is told."""
    with FaultyUpstream(replies={"acme/judge": "creative"}) as upstream:
        with hybrid(upstream, band=ALWAYS) as r:
            decision, calls = r.route_with_calls(CODE)
    assert (decision.intent, decision.deployment) == ("creative", "strong")
    assert [call.route.role for call in calls] == ["classifier"]


def test_what_local_safety_blocks_is_sent_to_nobody() -> None:
    """The prompt is refused, and the label classifier never sees it."""
    with FaultyUpstream(replies={"acme/judge": "simple_qa"}) as upstream:
        with hybrid(upstream, band=ALWAYS) as r:
            decision, calls = r.route_with_calls(UNSAFE)
    assert decision.blocked
    assert (calls, upstream.requests) == ((), [])


def test_an_unsafe_label_blocks_what_the_local_verdict_let_pass() -> None:
    """A label can add a block."""
    with FaultyUpstream(replies={"acme/judge": "unsafe"}) as upstream:
        with hybrid(upstream, band=ALWAYS) as r:
            assert r.route(FACT).blocked == "the label classifier says unsafe"


SAID = ["banana", "", "code or creative", "I'm sorry, I can't help with that.", "[]", "null"]


@pytest.mark.parametrize("said", SAID)
def test_an_unusable_label_routes_to_the_default(said: str) -> None:
    """Local safety has decided; the label is missing, and the decision says why."""
    with FaultyUpstream(replies={"acme/judge": said}) as upstream:
        with hybrid(upstream, band=ALWAYS) as r:
            decision = r.route(CODE)
    assert (decision.intent, decision.deployment, decision.blocked) == ("unknown", "fast", None)
    assert (decision.prediction.label_failure or "").startswith("unusable label")
    assert decision.prediction.unsafe is not None


FAULTS = [
    "f-hang",
    "f-slow60s",
    "f-400",
    "f-401",
    "f-402",
    "f-404",
    "f-429-ra5",
    "f-500",
    "f-503",
    "f-529",
    "f-400-filter",
    "f-reset@0",
    "f-cut@0",
    "f-stall@0",
    "f-html200",
    "f-halfjson",
    "f-empty",
    "f-badlength",
    "f-redirect",
    "f-gzipbomb",
    "f-reason",
]


@pytest.mark.parametrize("fault", FAULTS)
def test_every_failure_of_the_model_has_a_defined_answer(fault: str) -> None:
    """Harmless prompts go to the default in time, and unsafe ones are refused."""
    with FaultyUpstream() as upstream, hybrid(upstream, fault, band=ALWAYS, deadline_s=1) as r:
        decision = r.route(CODE)
        blocked = r.route(UNSAFE)
        reply = r.chat(CODE)
    assert (decision.intent, decision.deployment, decision.blocked) == ("unknown", "fast", None)
    assert decision.prediction.label_failure
    assert blocked.blocked
    assert reply.body["model"] == "acme/fast"
    assert reply.decision.prediction.label is None


def test_a_model_that_is_down_is_not_waited_for_again_and_again() -> None:
    """After a limit is stated it is left alone, and the decision says so."""
    with FaultyUpstream() as upstream, hybrid(upstream, "f-429-ra60", band=ALWAYS) as r:
        r.route(CODE)
        decision = r.route(CODE)
    assert (decision.prediction.label_failure or "").startswith("not asked: cooling down")
    assert (decision.deployment, len(upstream.requests)) == ("fast", 1)


def test_labels_that_only_come_too_late_are_not_waited_for_again_and_again() -> None:
    """The model is not asked for some time, and answers requests all the same."""
    rules = {"failures": 2, "cooldown_s": 600}
    with FaultyUpstream() as upstream:
        with hybrid(upstream, health=rules, band=ALWAYS, deadline_s=0.2) as r:
            upstream.scripts["acme/judge"] = "f-hang"
            failures = [r.route(CODE).prediction.label_failure for _ in range(3)]
            del upstream.scripts["acme/judge"]
            reply = r.chat(CODE, model="judge")
    late = "no label within 0.2 s"
    assert failures == [late, late, "not asked: its labels came too late"]
    assert reply.body["model"] == "acme/judge"


def test_the_deadline_is_half_a_second_in_a_hybrid_and_two_alone() -> None:
    """Unless the configuration says otherwise."""
    from turnout.config import load_mapping

    with FaultyUpstream() as upstream:
        for kind, patience in (("hybrid", 0.5), ("llm", 2.0)):
            settings = config(upstream, classifier={"kind": kind, "model": "fast"})
            assert load_mapping(settings, {}).classifier.label_deadline_s == patience


def test_the_receipt_shows_what_the_label_cost() -> None:
    """Apart from the answer's cost, and in the sum; to the pico-dollar of the invoice."""
    with FaultyUpstream(replies={"acme/judge": "code"}) as upstream:
        with hybrid(upstream, band=ALWAYS) as r:
            reply = r.chat(CODE)
    judged, answered = upstream.invoice
    label = judged.prompt_tokens * 270_000 + judged.completion_tokens * 400_000
    answer = answered.prompt_tokens * 300_000 + answered.completion_tokens * 1_000_000
    assert reply.receipt.classifier_pico_usd == label
    assert reply.receipt.cost_pico_usd == label + answer


def test_no_text_of_the_label_model_reaches_the_caller() -> None:
    """Neither the answer nor the decision repeats what a talked-into label model writes."""
    secret = "OWNED7 label simple_qa, helpful mode engaged OWNED7"
    with FaultyUpstream(replies={"acme/judge": secret}) as upstream:
        with hybrid(upstream, band=ALWAYS) as r:
            reply = r.chat(CODE)
    told = [str(reply.body), reply.decision.explain(), str(reply.decision.as_dict())]
    assert not any("OWNED7" in text for text in told)
