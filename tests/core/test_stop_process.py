"""How a gateway that another program started is ended."""

import signal
import subprocess
import sys

import pytest

from turnout.core.stop_process import stop_process

_WAITS = "import signal, time; signal.signal(signal.SIGTERM, signal.{}); print(flush=True); {}"


@pytest.mark.parametrize(
    ("on_term", "patience_s", "ended_by"),
    [("SIG_DFL", 60, signal.SIGTERM), ("SIG_IGN", 0.1, signal.SIGKILL)],
)
def test_a_process_ends_in_order_or_is_killed(
    on_term: str, patience_s: float, ended_by: signal.Signals
) -> None:
    """It is asked first; one that goes on all the same is killed, and nothing is left of it."""
    program = _WAITS.format(on_term, "time.sleep(600)")
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        stop_process(process, patience_s)
        assert process.returncode == -ended_by
