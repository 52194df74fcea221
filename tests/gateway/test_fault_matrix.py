"""Fault by dialect by streaming: every cell has the outcome that docs/faults.md states."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.gateway.test_golden_matrix import body_of
from tests.gateway.world import Answer, World, world
from turnout.testing.answers import tokens_of
from turnout.testing.faults import ALWAYS_ASKED, FAULTS, Fault, Outcome, document
from turnout.testing.outcomes import PATHS, Dialect, Response, outcome_of, text_of

DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
PATIENT = {"connect_s": 5, "first_token_s": 10, "inter_token_s": 10, "total_s": 15}
QUICK = {"connect_s": 5, "first_token_s": 1, "inter_token_s": 1, "total_s": 2}
FAMILIES = [
    "openai",
    pytest.param("openai-responses", marks=pytest.mark.slow),
    pytest.param("anthropic", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=FAMILIES)
def served(request: pytest.FixtureRequest) -> Iterator[dict[bool, World]]:
    """A patient gateway, and a quick one for silence; models never cool down between cells."""
    more: dict[str, Any] = {"health": ALWAYS_ASKED, "retries": {"retries": 0}, "proxied": True}
    with world(family=request.param, timeouts=PATIENT, **more) as patient:
        with world(family=request.param, timeouts=QUICK, **more) as quick:
            yield {False: patient, True: quick}


def ask(w: World, dialect: Dialect, fault: Fault, *, stream: bool) -> Answer:
    """A request whose first choice has the fault: ``coder``, or ``strong`` behind the proxy."""
    w.upstream.scripts["acme/coder"] = fault.script
    spoilt = fault.toxics is not None or fault.down
    w.proxy.change(fault.toxics, down=fault.down)
    asked = {"model": "creative" if spoilt else "code", "stream": stream}
    return w.post(PATHS[dialect], body_of(dialect, "text") | asked)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_the_outcome_is_the_documented_one(
    served: dict[bool, World], fault: Fault, dialect: Dialect, *, stream: bool
) -> None:
    """Nothing is cut short in silence, nothing else happens, and no key is shown."""
    w = served[fault.silence]
    answer = ask(w, dialect, fault, stream=stream)
    response = Response(dialect=dialect, stream=stream, **vars(answer))
    wanted = fault.stream if stream else fault.whole
    # There is another provider here; without one, see below.
    wanted = Outcome.NEXT if wanted == Outcome.PROVIDER else wanted
    assert outcome_of(response) == wanted, (answer, answer.body[:500])
    assert b"k3y-" not in answer.body
    if answer.status == 200 and outcome_of(response) != Outcome.ERROR_EVENT:
        assert len(tokens_of(text_of(response))) >= 24


def test_the_documentation_is_the_table() -> None:
    """docs/faults.md holds what the code says, line by line."""
    text = Path("docs/faults.md").read_text(encoding="utf-8")
    assert document() in text, "run: python -m turnout.testing.faults"


def test_without_another_provider_an_account_that_is_out_is_a_502() -> None:
    """It is never the caller's 401, clients are not to try again, and every attempt is listed."""
    out = [fault for fault in FAULTS if fault.whole == Outcome.PROVIDER]
    with world(health=ALWAYS_ASKED, timeouts=PATIENT, retries={"retries": 0}) as w:
        for fault in out:
            for dialect in DIALECTS:
                answer = ask(w, dialect, fault, stream=fault.name < "f-5")
                response = Response(dialect=dialect, stream=False, **vars(answer))
                assert outcome_of(response) == Outcome.PROVIDER, (fault, answer)
                assert answer.headers["x-should-retry"] == "false"
                assert answer.json()["error"]["attempts"][0]["model"] == "acme/coder"


def test_a_second_answer_on_a_connection_is_nobodys() -> None:
    """What an upstream sends unasked never answers the next request."""
    with world(health=ALWAYS_ASKED, retries={"retries": 0}) as w:
        for number in range(20):
            w.upstream.scripts["acme/coder"] = "f-extrabytes" if number % 2 == 0 else "honest"
            answer = w.post(PATHS["chat"], body_of("chat", "text") | {"model": "code"})
            assert answer.status == 200
            assert b"smuggled" not in answer.body
