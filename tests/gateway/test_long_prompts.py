"""A prompt of megabytes takes its time, and nobody else's."""

import base64
import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.world import World, chat, messages, world
from turnout.gateway.app import Limits
from turnout.gateway.strict_json import NotStrictJson, loads

LITTLE = chat("What is two and two?")
PAGE = "".join(f"The keeper writes down when train {i} came. " for i in range(60_000))
FILE = "data:text/plain;base64," + base64.b64encode(PAGE.encode()).decode()
PARTS = [
    {"type": "text", "text": "What does it say?"},
    {"type": "file", "file": {"filename": "page.txt", "file_data": FILE}},
]
LONG: dict[str, tuple[str, dict[str, Any]]] = {
    "text": ("/v1/chat/completions", chat(PAGE)),
    "a file": (
        "/v1/chat/completions",
        {"model": "auto", "messages": [{"role": "user", "content": PARTS}]},
    ),
    "beside": ("/v1/chat/completions", chat(prediction={"type": "content", "content": PAGE})),
    "messages": ("/v1/messages", messages(PAGE)),
    "counted": ("/v1/messages/count_tokens", messages("keeper" * 500_000)),
}


@pytest.mark.parametrize("what", LONG)
def test_who_asks_little_does_not_wait_for_who_asks_much(what: str) -> None:
    """Wherever in the request the much stands: others are answered while it is read."""
    ended = threading.Event()

    def send_long(w: World) -> None:
        w.post(*LONG[what])
        ended.set()

    with world(limits=Limits()) as w:
        assert w.post("/v1/chat/completions", LITTLE).status == 200
        beside = threading.Thread(target=send_long, args=(w,))
        beside.start()
        answered = 0
        while not ended.is_set():
            assert w.post("/v1/chat/completions", LITTLE).status == 200
            assert w.post("/v1/messages/count_tokens", messages("Hello")).status == 200
            answered += 1
        beside.join()
    assert answered >= 10


VALUE = st.recursive(
    st.text(st.sampled_from('\\": {}[]a,é'), max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.sampled_from('\\":a'), max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(value=VALUE, span=st.integers(1, 9), indent=st.sampled_from([None, 1]))
def test_keys_are_counted_whatever_strings_hold(value: Any, span: int, indent: int | None) -> None:
    """And wherever a long body is looked at in pieces; a key given twice is always found."""
    body = json.dumps({"a": value, "b": ': "x" :'}, indent=indent).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("turnout.gateway.strict_json._SPAN", span)
        assert loads(body) == {"a": value, "b": ': "x" :'}
        with pytest.raises(NotStrictJson, match="given twice"):
            loads(b'{"b" :1,' + body[1:])
