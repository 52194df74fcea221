"""Too many requests at a time: what can wait goes first, and everybody is told when to return."""

import http.client
import resource
import select
import signal
import socket
import threading
import time
from pathlib import Path

import orjson

from tests.gateway.world import Answer, chat, world
from tests.runtime.world import PATIENT, config
from tests.waiting import soon
from turnout.gateway.app import Limits
from turnout.testing import FaultyUpstream, serving

LOW = {"x-turnout-priority": "low"}


def test_low_priority_is_shed_before_the_rest() -> None:
    """With 4 of 5 places taken a low one gets 503 with Retry-After, a normal one is served."""
    with world(limits=Limits(max_in_flight=5), models={"fast": "f-slow2s"}) as w:
        answers: list[Answer] = []
        path = "/v1/chat/completions"

        def ask() -> None:
            answers.append(w.post(path, chat(model="fast")))

        waiting = [threading.Thread(target=ask) for _ in range(4)]
        for thread in waiting:
            thread.start()
        while len(w.upstream.invoice) < 4:
            threading.Event().wait(0.02)
        low = w.post(path, chat(model="strong"), LOW)
        usual = w.post(path, chat(model="strong"))
        for thread in waiting:
            thread.join()
    assert low.status == 503
    assert low.json()["error"]["code"] == "overloaded"
    assert int(low.headers["retry-after"]) >= 1
    assert low.headers["x-should-retry"] == "true"
    assert usual.status == 200
    assert {answer.status for answer in answers} == {200}


def test_requests_that_run_in_step_share_the_places_that_there_are() -> None:
    """Of twenty that arrive in one turn of the loop two are called: each choice counts at once."""
    body = orjson.dumps(chat(model="fast"))
    asked = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
    with FaultyUpstream() as upstream:
        settings = config(upstream, models={"fast": "f-hang"}, health={"max_in_flight": 2})
        settings["timeouts"] = PATIENT
        # Warmed, since the first requests are read on threads otherwise, and do not run in step.
        with serving(settings, options=["--warm"]) as served:
            links = [socket.create_connection(("127.0.0.1", served.port), 20) for _ in range(20)]
            for link in links:
                link.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert link.recv(4096).startswith(b"HTTP/1.1 200")
            served.process.send_signal(signal.SIGSTOP)
            for link in links:
                link.sendall(asked % (len(body), body))
            served.process.send_signal(signal.SIGCONT)
            refused: list[socket.socket] = []
            while len(refused) < 18:
                readable, _, _ = select.select(set(links) - set(refused), [], [], 20)
                assert readable
                refused += readable
            heads = [link.recv(12) for link in refused]
            assert soon(lambda: len(upstream.entries("f-hang")) >= 2)
            for link in links:
                link.close()
        assert heads == [b"HTTP/1.1 503"] * 18
        assert len(upstream.entries("f-hang")) == 2


def test_a_process_without_free_descriptors_lives_and_recovers(tmp_path: Path) -> None:
    """More connections than it may have open: some are not served, and then all are again."""
    with FaultyUpstream() as upstream:
        settings = config(upstream, timeouts=PATIENT, ledger=str(tmp_path / "ledger.db"))
        with serving(settings) as served:
            assert _status(served.port) == 200
            resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE, (64, 64))
            many = [socket.create_connection(("127.0.0.1", served.port), 10) for _ in range(150)]
            time.sleep(1)
            assert served.process.poll() is None
            for link in many:
                link.close()
            assert soon(lambda: _status(served.port) == 200)
            assert served.process.poll() is None


def test_a_lack_of_sockets_is_not_the_providers_fault() -> None:
    """No call is made nor paid, no model cools down, and the next request is answered by it."""
    with FaultyUpstream() as upstream, serving(config(upstream, timeouts=PATIENT)) as served:
        link = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
        link.request("POST", "/v1/route", orjson.dumps(chat()))  # loads what a decision needs
        link.getresponse().read()
        free = resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE, (3, free[1]))
        for _ in range(8):
            link.request("POST", "/v1/chat/completions", orjson.dumps(chat()))
            answer = link.getresponse()
            attempt = orjson.loads(answer.read())["error"]["attempts"][0]
            assert answer.status == 502
            assert "no socket is left" in attempt["detail"]
            assert float(answer.headers["x-turnout-cost-usd"]) == 0
        resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE, free)
        link.request("POST", "/v1/chat/completions", orjson.dumps(chat()))
        answer = link.getresponse()
        assert (answer.status, answer.headers["x-turnout-attempts"]) == (200, "1")
        assert orjson.loads(answer.read())["model"] == "acme/fast"
        link.close()


def _status(port: int) -> int | None:
    """The status of a request on a connection of its own; None where there is no answer."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        link.request("POST", "/v1/chat/completions", orjson.dumps(chat(max_tokens=20)))
        return link.getresponse().status
    except OSError:
        return None
    finally:
        link.close()
