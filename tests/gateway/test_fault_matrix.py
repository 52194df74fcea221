"""Fault by dialect by streaming: every cell has the outcome that docs/gateway.md states."""

import json
from collections.abc import Iterator

import pytest

from tests.gateway.test_golden_matrix import PATHS, body_of
from tests.gateway.world import Answer, World, world

# Before the first content the fallback answers, and nobody notices but the headers.
FALLS_OVER = [
    "f-500",
    "f-502",
    "f-503-ra1",
    "f-429",
    "f-429-ra30",
    "f-429-radate30",
    "f-429-rams30000",
    "f-429-ragarbage",
    "f-429-rahuge",
    "f-404",
    "f-context",
    "f-reset@0",
    "f-html200",
    "f-empty",
    "f-redirect",
]
# The provider is out as a whole, and so are its other models.
PROVIDER_OUT = ["f-529", "f-401", "f-402", "f-403", "f-quota", "f-spend"]
WHOLE_ONLY = ["f-halfjson", "f-badlength", "f-gzipbomb"]
BREAKS = ["f-reset@4", "f-cut@4", "f-error@4", "f-badchunks@4", "f-nodone", "f-badhex@4-drip20ms"]
HARMLESS = ["f-badchunk@4", "f-nousage", "f-nullusage", "f-negusage", "f-crlf", "f-bom-comments"]
END_MARKS = {
    "chat": b"data: [DONE]",
    "messages": b"event: message_stop",
    "responses": b"event: response.completed",
}


@pytest.fixture(scope="module")
def served() -> Iterator[World]:
    """A gateway that never cools down, so that cells do not see each other."""
    health = {"failures": 10**6, "cooldown_s": 1e-6, "longest_s": 1e-6, "lasting_s": 1e-6}
    patient = {"connect_s": 5, "first_token_s": 10, "inter_token_s": 10, "total_s": 30}
    retries = {"retries": 0}
    with world(health=health, timeouts=patient, retries=retries) as w:
        yield w


def ask(w: World, dialect: str, fault: str, *, stream: bool) -> Answer:
    """A request whose first choice has the fault."""
    w.upstream.scripts["acme/coder"] = fault
    body = body_of(dialect, "text") | {"model": "code", "stream": stream}
    return w.post(PATHS[dialect], body)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("fault", FALLS_OVER)
def test_falls_over(served: World, fault: str, dialect: str, *, stream: bool) -> None:
    """The answer is complete and another model's."""
    answer = ask(served, dialect, fault, stream=stream)
    assert answer.status == 200
    assert answer.headers["x-turnout-model"] == "acme/fast"
    assert answer.headers["x-turnout-attempts"] == "2"
    assert (END_MARKS[dialect] in answer.body) == stream


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("fault", WHOLE_ONLY)
def test_a_broken_whole_answer_falls_over(served: World, fault: str, dialect: str) -> None:
    """Half an answer is none."""
    answer = ask(served, dialect, fault, stream=False)
    assert answer.status == 200
    assert answer.headers["x-turnout-model"] == "acme/fast"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("fault", PROVIDER_OUT)
def test_a_refused_account_is_an_error_of_the_gateway(
    served: World, fault: str, dialect: str, *, stream: bool
) -> None:
    """It is never the caller's 401, and clients are told not to try again."""
    answer = ask(served, dialect, fault, stream=stream)
    assert answer.status == 502
    assert answer.headers["x-should-retry"] == "false"
    assert answer.json()["error"]["attempts"][0]["model"] == "acme/coder"
    assert b"k3y-acme" not in answer.body


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("fault", BREAKS)
def test_a_break_is_told(served: World, fault: str, dialect: str) -> None:
    """What was sent stays, an error event is last, and there is no clean end."""
    answer = ask(served, dialect, fault, stream=True)
    assert answer.status == 200
    assert answer.headers["x-turnout-model"] == "acme/coder"
    assert END_MARKS[dialect] not in answer.body
    name, data = answer.events()[-1]
    told = json.loads(data)
    assert name == {"chat": "", "messages": "error", "responses": "response.failed"}[dialect]
    assert (told.get("error") or told["response"]["error"])["message"]


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("fault", HARMLESS)
def test_what_can_be_read_is_read(served: World, fault: str, dialect: str) -> None:
    """Odd line ends, missing usage or one broken event do not end an answer."""
    answer = ask(served, dialect, fault, stream=True)
    assert answer.status == 200
    assert END_MARKS[dialect] in answer.body


@pytest.mark.parametrize("fault", ["f-hang", "f-stall@0", "f-stall@4"])
@pytest.mark.parametrize("dialect", PATHS)
def test_silence_has_a_deadline(dialect: str, fault: str) -> None:
    """Before the first token another model answers; after it the stall is told."""
    quick = {"connect_s": 5, "first_token_s": 1, "inter_token_s": 1, "total_s": 20}
    with world(timeouts=quick, retries={"retries": 0}) as w:
        answer = ask(w, dialect, fault, stream=True)
    assert answer.status == 200
    assert (END_MARKS[dialect] in answer.body) == (fault != "f-stall@4")
