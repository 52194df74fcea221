"""Intents of the user's own: written in the configuration, served at once."""

from pathlib import Path
from typing import Any

import pytest

from tests.runtime.world import FACT, UNSAFE, config
from turnout import Router
from turnout.config import load_text
from turnout.core import ConfigError
from turnout.testing import FaultyUpstream

BILLING: dict[str, Any] = {
    "model": "strong",
    "description": "questions about invoices, charges and payments",
    "examples": [
        "Why was I charged twice this month?",
        "Where can I download my invoice?",
        "The VAT number on my bill is wrong",
        "When is my payment due?",
    ],
}
ASKED = "my invoice for March never arrived, can you send it again?"


def with_billing(upstream: FaultyUpstream, **more: Any) -> dict[str, Any]:
    """The recipe's configuration with one intent more."""
    settings = config(upstream, **more)
    settings["intents"] = {**settings["intents"], "billing": BILLING}
    return settings


def test_an_own_intent_is_served_at_once_and_takes_nothing_else() -> None:
    """Four examples route their like to the intent's model; other prompts stay where they were."""
    with FaultyUpstream() as upstream, Router.from_config(with_billing(upstream), environ={}) as r:
        own, other, unsafe = r.route(ASKED), r.route(FACT), r.route(UNSAFE)
    assert (own.intent, own.deployment) == ("billing", "strong")
    assert "billing" in dict(own.prediction.intents)
    assert (other.intent, other.deployment) == ("simple_qa", "fast")
    assert unsafe.blocked


def test_an_own_intent_is_a_name_to_ask_for() -> None:
    """Its name as the model is the intent, as with the built-in ones."""
    with FaultyUpstream() as upstream, Router.from_config(with_billing(upstream), environ={}) as r:
        assert r.route(FACT, model="billing").deployment == "strong"


def test_examples_change_the_bundle() -> None:
    """A decision names the examples that it depends on."""
    with FaultyUpstream() as upstream:
        more = with_billing(upstream)
        more["intents"]["billing"] = {**BILLING, "examples": BILLING["examples"][:3]}
        with (
            Router.from_config(with_billing(upstream), environ={}) as one,
            Router.from_config(more, environ={}) as two,
        ):
            assert one.parts.means.rules.bundle != two.parts.means.rules.bundle


def test_a_label_classifier_knows_the_own_intent() -> None:
    """It is among the labels with its description, and its answer is served."""
    with FaultyUpstream(replies={"acme/judge": "billing"}) as upstream:
        settings = with_billing(upstream)
        settings["models"]["judge"] = {"model": "acme/judge", "price": "unknown"}
        settings["classifier"] = {"kind": "llm", "model": "judge", "deadline_s": 30}
        with Router.from_config(settings, environ={}) as r:
            assert r.route(FACT).intent == "billing"
        asked = upstream.requests[0].json()["messages"][0]["content"]
    assert "- billing: questions about invoices, charges and payments" in asked


def test_a_built_in_intent_takes_no_examples() -> None:
    """The error names the field and the fix."""
    with FaultyUpstream() as upstream:
        settings = config(upstream)
        settings["intents"]["code"] = {**BILLING, "model": "coder"}
        with pytest.raises(ConfigError, match=r"intents\.code\.examples: code is built in"):
            Router.from_config(settings, environ={})


HEAD = "models: {fast: {model: m, price: unknown}}\ndefault: fast\nintents:\n"


@pytest.mark.parametrize(
    ("intent", "message"),
    [
        (
            "  billing: {model: fast, examples: [a, b]}",
            "line 4: intents.billing.examples: has 2; give 3 to 10 prompts",
        ),
        (
            "  billing:\n    model: fast\n    examples:\n      - a\n      - b\n      - ' '",
            "line 9: intents.billing.examples.2: is empty",
        ),
        (
            "  billing: {model: fast, examples: [a, b, ' A ']}",
            "examples.2: ' A ' is an example of billing already",
        ),
        ("  billing: {model: fast, examples: [a, b, 3]}", "examples.2: 3: give text"),
        ("  billing: {model: fast, examples: text}", "examples: 'text': give a list"),
        ("  billing: {examples: [a, b, c]}", "intents.billing.model: is missing; add model"),
        ("  billing: {model: fsat, examples: [a, b, c]}", "'fsat' is not in models; did you mean"),
        ("  billing: {model: fast, exampels: []}", "did you mean 'examples'?"),
        ("  'two words': {model: fast, examples: [a, b, c]}", "intents.two words: is no label"),
        ("  auto: {model: fast, examples: [a, b, c]}", "'auto' cannot be learned"),
        ("  unsafe: {model: block, examples: [a, b, c]}", "'unsafe' cannot be learned"),
        ("  billing: {model: fast, threshold: 2, examples: [a, b, c]}", "threshold: 2: input"),
        ("  billing: {model: fast, threshold: 0.4}", "intents.billing.examples: has 0; give 3"),
        (
            "  a_b: {model: fast, examples: [a, b, c]}\n  A-b: {model: fast, examples: [d, e, f]}",
            "line 5: intents.A-b: is too like 'a_b'",
        ),
    ],
)
def test_a_wrong_intent_is_refused_with_the_reason(intent: str, message: str) -> None:
    """Each problem names line, field, value and fix in one line."""
    with pytest.raises(ConfigError) as caught:
        load_text(HEAD + intent + "\n", {})
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        ("{", "not JSON"),
        ("{}", "must hold classifier, threshold and offsets"),
        (
            '{"classifier": "sha256:0", "threshold": 0.5, "offsets": {}}',
            "classifier is sha256:0, and the one in use is sha256:",
        ),
    ],
)
def test_a_calibration_that_does_not_fit_is_refused(
    tmp_path: Path, content: str | None, message: str
) -> None:
    """Unreadable, not JSON, or made for another classifier: the file, the reason and the fix."""
    path = tmp_path / "c.json"
    if content is not None:
        path.write_text(content)
    with FaultyUpstream() as upstream:
        settings = config(upstream, classifier={"kind": "local", "calibration": str(path)})
        with pytest.raises(ConfigError, match="turnout calibrate FILE --save") as caught:
            Router.from_config(settings, environ={})
    assert message in str(caught.value)
