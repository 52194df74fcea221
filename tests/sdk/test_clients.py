"""The real OpenAI and Anthropic SDKs work with nothing changed but their base URL.

They live in an environment of their own, whose Python ``TURNOUT_SDK_PYTHON`` names.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.world import World, world

PYTHON = os.environ.get("TURNOUT_SDK_PYTHON", "")
CLIENT = Path(__file__).with_name("client.py")
TEXT = "acme/coder answers n3:"

pytestmark = pytest.mark.skipif(not PYTHON, reason="NOT RUN: TURNOUT_SDK_PYTHON is not set")


@pytest.fixture(scope="module", params=["openai", "anthropic"])
def served(request: pytest.FixtureRequest) -> Iterator[World]:
    """A gateway whose models live at a provider of one family; ``strong`` breaks off."""
    with world(family=request.param, models={"strong": "f-reset@4"}) as w:
        yield w


def run(served: World, case: str) -> Any:
    """What one case of the client script gave."""
    base = f"http://127.0.0.1:{served.port}"
    done = subprocess.run(
        [PYTHON, str(CLIENT), base, case], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", ["openai_chat", "openai_stream", "openai_async"])
def test_openai_chat(served: World, case: str) -> None:
    """Whole, streamed and asynchronous answers are read by the SDK."""
    found = run(served, case)
    assert found["text"].startswith(TEXT)
    assert found.get("tokens", 1) > 0
    assert found.get("model", "acme/coder") == "acme/coder"


def test_openai_tools_and_structured_output(served: World) -> None:
    """Streamed tool arguments are whole, and a parsed answer has its type."""
    assert run(served, "openai_tools") == {"name": "forecast", "arguments": {"city": "n3"}}
    assert run(served, "openai_parse") == {"city": "n3"}


def test_openai_responses(served: World) -> None:
    """Whole and streamed responses say the same."""
    found = run(served, "openai_responses")
    assert found["text"].startswith(TEXT)
    assert found["streamed"].startswith(TEXT)
    assert found["status"] == "completed"


def test_openai_models_and_errors(served: World) -> None:
    """The list has auto, an unknown model is a NotFoundError, and a break raises APIError."""
    assert "auto" in run(served, "openai_models")["ids"]
    assert run(served, "openai_error") == {"code": "model_not_found", "status": 404}
    assert run(served, "openai_break")["seen"] > 0


@pytest.mark.parametrize("case", ["anthropic_chat", "anthropic_stream"])
def test_anthropic_messages(served: World, case: str) -> None:
    """Whole and streamed messages are read by the SDK."""
    found = run(served, case)
    assert found["text"].startswith(TEXT)
    assert found["stop"] == "end_turn"


def test_anthropic_tools_and_tokens(served: World) -> None:
    """A tool's input is whole, and tokens are counted."""
    expected = {"name": "forecast", "arguments": {"city": "n3"}, "stop": "tool_use"}
    assert run(served, "anthropic_tools") == expected
    assert run(served, "anthropic_count")["tokens"] > 5


def test_anthropic_errors(served: World) -> None:
    """An unknown model is a NotFoundError, and a break raises APIError."""
    assert run(served, "anthropic_error") == {"type": "not_found_error", "status": 404}
    assert run(served, "anthropic_break")["message"]
