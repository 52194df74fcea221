"""The public list of names is pinned."""

import pkgutil
import pydoc
import subprocess
import sys
from importlib import import_module

import pytest

import turnout

PUBLIC = [
    "AllRoutesFailed",
    "AsyncOpenAI",
    "BudgetExceeded",
    "Candidate",
    "ConfigError",
    "Constraints",
    "Decision",
    "Exclusion",
    "Fault",
    "InvalidRequest",
    "NoEligibleDeployment",
    "OpenAI",
    "Outcome",
    "ProviderError",
    "Receipt",
    "Reply",
    "Request",
    "RequestError",
    "Route",
    "Router",
    "RouterError",
    "Usage",
    "__version__",
]


def test_the_public_names_are_these() -> None:
    """Adding or removing a public name is a decision, made here."""
    assert sorted(turnout.__all__) == PUBLIC


def test_every_public_name_exists() -> None:
    """Each one resolves on first use."""
    for name in turnout.__all__:
        assert getattr(turnout, name) is not None


def test_importing_opens_no_socket_and_loads_nothing_heavy() -> None:
    """A bare import leaves the network, numpy and pydantic alone."""
    check = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise SystemExit('a socket was opened')\n"
        "socket.socket.connect = refuse\n"
        "import turnout\n"
        "heavy = {'numpy', 'aiohttp', 'pydantic', 'typer', 'xllamacpp'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_help_prints_no_variable_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment holds keys, and a default value is part of what ``help`` prints."""
    monkeypatch.setenv("SOME_API_KEY", "sk-of-the-environment")
    modules = [found.name for found in pkgutil.walk_packages(turnout.__path__, "turnout.")]
    told = {
        name: pydoc.render_doc(import_module(name)) for name in modules if "__main__" not in name
    }
    told["Router"] = pydoc.render_doc(turnout.Router)
    assert [name for name, text in told.items() if "sk-of-the-environment" in text] == []
