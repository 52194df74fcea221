"""What a request leaves is freed at once: no object waits in a cycle for a garbage collection.

Collections are rare in a gateway, so that what waits for one looks like a leak for hours.
"""

import asyncio
import gc
from collections import Counter
from collections.abc import Iterator
from typing import get_args

import pytest

from tests.gateway.world import World, world
from tests.waiting import soon
from turnout.testing.caller import ask, body_of
from turnout.testing.faults import ALWAYS_ASKED
from turnout.testing.outcomes import Dialect

QUICK = {"connect_s": 5, "first_token_s": 0.3, "inter_token_s": 0.3, "total_s": 1}


@pytest.fixture(scope="module")
def w() -> Iterator[World]:
    """A gateway that gives up on silence soon."""
    with world(health=ALWAYS_ASKED, timeouts=QUICK, retries={"retries": 0}) as served:
        yield served


async def send(w: World, leave_after_s: float | None) -> None:
    """A request in each dialect, whole and streamed, all at the same time."""
    bodies = [
        (dialect, body_of(dialect, "code", "Add two numbers.", stream=stream))
        for dialect in get_args(Dialect)
        for stream in (False, True)
    ]
    await asyncio.gather(*(ask(w.port, *body, leave_after_s=leave_after_s) for body in bodies))


@pytest.mark.parametrize(
    ("fault", "leave_after_s"),
    [
        ("honest", None),
        ("f-500", None),
        ("f-badlength", None),
        ("f-reset@0", None),
        ("f-cut@4", None),
        ("f-hang", None),
        ("f-stall@4", None),
        ("f-slow200ms", 0.1),
        ("f-drip5ms", 0.05),
    ],
)
def test_nothing_of_a_request_waits_for_a_collection(
    w: World, fault: str, leave_after_s: float | None
) -> None:
    """Neither callers who close their connection or leave nor providers that fail leave cycles."""
    w.upstream.scripts["acme/coder"] = fault
    asyncio.run(send(w, leave_after_s))
    assert soon(lambda: not w.gateway._metrics.under_way)
    gc.collect()
    gc.disable()
    try:
        asyncio.run(send(w, leave_after_s))
        assert soon(lambda: not w.gateway._metrics.under_way)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        kinds = [type(found) for found in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    names = Counter(f"{kind.__module__}.{kind.__qualname__}" for kind in kinds)
    ours = {name: n for name, n in names.items() if name.startswith("turnout.")}
    assert not {name for name in ours if not name.startswith("turnout.testing.")}, ours
