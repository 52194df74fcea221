"""Settings that all tests share."""

import os
import signal

import pytest
from hypothesis import settings

# A first call loads tokenizers or tables; how long that takes is a benchmark's business.
settings.register_profile("turnout", deadline=None)
settings.load_profile("turnout")

# As in the command line: matrices here are small, and threads that wait for each other cost more.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# A shell has what it starts in the background ignore Ctrl-C, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _data_home(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What tests record stays out of the user's own ledger; pytest removes it in time."""
    os.environ["XDG_DATA_HOME"] = str(tmp_path_factory.mktemp("data"))
