"""Cascades through the gateway: every dialect sees the verified answer and nothing of a draft."""

import json

import pytest

from tests.gateway.world import world
from tests.runtime.cascades import QUALITY
from tests.runtime.world import FACT
from turnout.testing import FaultyUpstream

POLICY = {"name": "cascade", "steps": 2, "verify": {"kind": "schema", "schema": {"type": "object"}}}
ASK = {"model": "auto", "messages": [{"role": "user", "content": FACT}]}
JSON = {"response_format": {"type": "json_object"}}


def prepared(upstream: FaultyUpstream, draft: str) -> None:
    """What the models say."""
    upstream.replies.update({"acme/fast": draft, "acme/strong": '{"from": "strong"}'})


@pytest.mark.parametrize(
    ("draft", "model"), [('{"from": "fast"}', "acme/fast"), ("not json", "acme/strong")]
)
@pytest.mark.parametrize("stream", [False, True])
def test_only_the_verified_answer_leaves(draft: str, model: str, *, stream: bool) -> None:
    """Body, headers and number of attempts are those of the answer that passed."""
    pytest.importorskip("jsonschema_rs")
    with world(policy=POLICY, qualities=QUALITY) as w:
        prepared(w.upstream, draft)
        answer = w.post("/v1/chat/completions", {**ASK, **JSON, "stream": stream})
        record = w.get(f"/v1/decisions/{answer.headers['x-turnout-decision']}").json()
    assert answer.status == 200
    assert answer.headers["x-turnout-model"] == model
    assert answer.headers["x-turnout-attempts"] == ("1" if model == "acme/fast" else "2")
    said = answer.body.decode()
    assert "not json" not in said
    if stream:
        data = [json.loads(data) for _, data in answer.events() if data != "[DONE]"]
        said = "".join(c["delta"].get("content") or "" for d in data for c in d["choices"])
        assert json.loads(said) == {"from": model.rpartition("/")[2]}
    assert record["attempts"][0]["role"] == "draft"
    assert record["attempts"][0]["error"] == (None if model == "acme/fast" else "rejected")
