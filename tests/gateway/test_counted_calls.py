"""The metrics count the calls that the ledger has, also of requests that no model answered."""

import json
import socket
from pathlib import Path

import pytest

from tests.gateway.world import World, chat, with_picture, world
from tests.runtime.cascades import QUALITY
from tests.waiting import soon
from turnout.core import RouterError
from turnout.ledger import store_at

LABEL = {"classifier": {"kind": "llm", "model": "coder", "deadline_s": 20}}
VERIFY = {"kind": "model", "model": "coder", "deadline_s": 20}
JUDGE = {
    "policy": {"name": "cascade", "steps": 2, "verify": VERIFY},
    "qualities": {**QUALITY, "coder": 0.1},
}


def counter_sum(w: World, name: str) -> float:
    """A counter's sum over all its labels."""
    lines = w.get("/metrics").body.decode().splitlines()
    name = f"turnout_{name}_total"
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def ledger_and_metrics_agree(w: World, place: Path, *, calls: int) -> bool:
    """Whether ledger and metrics have so many calls, of the same tokens and cost."""
    sql = (
        "SELECT count(*), sum(cost), sum(input + cache_read + cache_write + output + reasoning) "
        "FROM calls"
    )
    try:
        ((found, cost, tokens),) = store_at(place).fetch(sql)
    except RouterError:  # the file appears with the first request
        return False
    return bool(
        found == counter_sum(w, "attempts") == calls
        and cost > 0
        and counter_sum(w, "cost_usd") == pytest.approx(cost / 1e12)
        and counter_sum(w, "tokens") == tokens
    )


def test_a_label_counts_though_its_request_is_refused(tmp_path: Path) -> None:
    """As no model takes it, after the label was paid."""
    place = tmp_path / "ledger.db"
    with world(ledger=str(place), **LABEL) as w:
        assert w.post("/v1/chat/completions", with_picture()).status == 400
        assert soon(lambda: ledger_and_metrics_agree(w, place, calls=1))


@pytest.mark.parametrize(
    ("more", "waits_at", "calls"),
    [(LABEL, "acme/coder", 1), (JUDGE, "acme/coder", 2)],
    ids=["while it is labelled", "while its draft is judged"],
)
def test_a_call_beside_the_answer_counts_though_its_caller_leaves(
    tmp_path: Path, more: dict[str, object], waits_at: str, calls: int
) -> None:
    """What was used until then is estimated, alike in both."""
    place = tmp_path / "ledger.db"
    body = json.dumps(chat()).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
    with world(ledger=str(place), **more) as w:  # type: ignore[arg-type]
        w.upstream.scripts[waits_at] = "f-hang"
        with socket.create_connection(("127.0.0.1", w.port)) as link:
            link.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            assert soon(lambda: bool(w.upstream.entries(waits_at)))
        assert soon(lambda: ledger_and_metrics_agree(w, place, calls=calls))


def test_a_replaced_engine_is_heard_to_its_end(tmp_path: Path) -> None:
    """Every engine that the gateway takes is listened to, once."""
    place = tmp_path / "ledger.db"
    with world(ledger=str(place)) as w:
        w.gateway.replace_engine(w.gateway.engine)
        assert w.post("/v1/chat/completions", chat()).status == 200
        assert soon(lambda: ledger_and_metrics_agree(w, place, calls=1))
