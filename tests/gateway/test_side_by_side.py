"""Two gateways that somebody started by hand on one ledger file: each serves, both record."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson

from tests.gateway.world import chat
from tests.runtime.world import PATIENT, config
from turnout.ledger import every, store_at, verify
from turnout.testing import FaultyUpstream, Served, serving

ENDED = "SELECT count(*) FROM settlements WHERE state <> 'released'"


def _ask(served: Served, **more: Any) -> int:
    import http.client

    link = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    body = orjson.dumps(chat(model="fast", **more))
    link.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
    response = link.getresponse()
    response.read()
    link.close()
    return response.status


def test_long_answers_of_one_do_not_keep_the_other_waiting(tmp_path: Path) -> None:
    """Both are asked all the time, one ends in the middle of it, and no request fails."""
    path = tmp_path / "ledger.db"
    budget = {"per": "all", "window": "total", "requests": 41}
    with (
        FaultyUpstream(scripts={"acme/fast": "f-drip100ms-tokens20"}) as upstream,
        ExitStack() as s,
    ):
        settings = config(upstream, timeouts=PATIENT, ledger=str(path), budgets=[budget])
        one, other = (s.enter_context(serving(settings)) for _ in range(2))
        with ThreadPoolExecutor(20) as pool:
            first = [pool.submit(_ask, (one, other)[n % 2], stream=True) for n in range(20)]
            assert [f.result() for f in first] == [200] * 20
            last = [pool.submit(_ask, (one, other)[n % 2], stream=True) for n in range(20)]
            while len(upstream.invoice) < 40:
                time.sleep(0.01)
            one.process.send_signal(signal.SIGTERM)  # it ends when it has answered
            codes = [f.result() for f in last]
        assert one.process.wait(30) == 0
        assert codes == [200] * 20
        assert [_ask(other), _ask(other)] == [200, 429]
    store = store_at(path)
    assert store.fetch(ENDED) == [(41,)]
    assert len({line.id for line in every(store)}) == 41
    assert store.fetch("SELECT count(*) FROM holds") == [(0,)]
    assert verify(store) == []
