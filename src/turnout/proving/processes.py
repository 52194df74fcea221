"""The processes of a proof, which work at once and are killed at any moment.

Invariant: the parent has no threads, so that it can fork at any time; no child ever continues the
parent's code.
"""

import os
import signal
import time
import traceback
from collections.abc import Callable

from turnout.core import RouterError


def fork(work: Callable[..., int | None], *arguments: object) -> int:
    """Starts a process for this work; returns its id. It exits with ``work``'s result, else 1."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = work(*arguments) or 0
        except RouterError as error:
            os.write(2, f"{error}\n".encode())
        except Exception:  # noqa: BLE001 -- told here, since nobody above may hear of it
            traceback.print_exc()
        finally:
            os._exit(code)
    return child


def kill(process: int) -> None:
    """Kill a process at once and wait for its end."""
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def wait_until(done: Callable[[], bool], what: str, longest_s: float) -> None:
    """Wait for ``what``. Raises TimeoutError."""
    end = time.monotonic() + longest_s
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {longest_s:g} s for {what}")
        time.sleep(0.02)


def exit_code_of(process: int) -> int:
    """The exit code of a process, once it has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
