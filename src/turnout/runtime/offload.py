"""Moves work from the event loop to a thread, so that no other request waits for it.

This module does not know what the work is.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from threading import Thread
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# The longest body that is read, counted or rewritten on the event loop itself.
MOST_LOOP_BYTES = 256 * 1024
# The longest text that is classified on the event loop itself, in about a millisecond.
MOST_LOOP_CHARACTERS = 5000


def is_long(body_bytes: int) -> bool:
    """Whether work on a body of so many bytes is to be done on a thread."""
    return body_bytes > MOST_LOOP_BYTES


async def offload_if_long(
    body_bytes: int, work: Callable[P, T], *args: P.args, **more: P.kwargs
) -> T:
    """The result of work on a body of so many bytes, done on a thread if it is long.

    What every request does asks ``is_long`` itself, which takes 1 % fewer instructions.
    """
    if is_long(body_bytes):
        return await asyncio.to_thread(work, *args, **more)
    return work(*args, **more)


async def run_on(executor: Executor, work: Callable[..., T], *arguments: Any) -> T:
    """The result of work done on a thread of ``executor``."""
    return await asyncio.get_running_loop().run_in_executor(executor, work, *arguments)


async def run_apart(work: Callable[..., T], *arguments: Any) -> T:
    """The result of work that may never end: nothing else waits for its thread, not even the exit.

    Raises what the work raises.
    """
    done: Future[T] = Future()
    done.set_running_or_notify_cancel()  # so that a caller who leaves does not cancel it

    def run() -> None:
        try:
            done.set_result(work(*arguments))
        except Exception as error:  # noqa: BLE001 -- it is raised where the result is awaited
            done.set_exception(error)

    Thread(target=run, name="turnout-apart", daemon=True).start()
    return await asyncio.wrap_future(done)
