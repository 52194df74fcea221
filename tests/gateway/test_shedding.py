"""Too many requests at a time: what can wait goes first, and everybody is told when to return."""

import threading

from tests.gateway.world import Answer, chat, world
from turnout.gateway.app import Limits

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
