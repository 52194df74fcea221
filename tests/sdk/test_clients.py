"""Clients of other projects work with nothing changed but their base URL and their key.

They live in environments of their own, whose Pythons ``TURNOUT_SDK_PYTHON`` (openai 3) and
``TURNOUT_SDK2_PYTHON`` (openai 2) name, and call a real ``turnout serve``.
"""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from turnout.testing import FaultyUpstream, Served, serving

HERE = Path(__file__).parent
PYTHONS = {
    "calls": os.environ.get("TURNOUT_SDK_PYTHON", ""),
    "calls2": os.environ.get("TURNOUT_SDK2_PYTHON", ""),
}
FAMILIES = ["openai", "openai-responses", "anthropic"]
TEXT = "acme/coder answers n3:"
ARGUMENTS = {"city": "n3", "days": 1}
CALL = {"forecast": ARGUMENTS}
BOTH = {"forecast": ARGUMENTS, "climate": ARGUMENTS}
SLOW = "f-slow0.6s answers n3:"
SAID = {"text": TEXT}

# Both parameters of a family run in one process, so that each script runs once.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("clients")]

# What each case gives; a text is compared by its beginning.
CALLS: dict[str, dict[str, Any]] = {
    "openai_chat": {"text": TEXT, "model": "acme/coder"},
    "openai_stream": SAID,
    "openai_async": SAID,
    "openai_async_stream": SAID,
    "openai_tools": CALL,
    "openai_parallel": BOTH,
    "openai_parallel_stream": BOTH,
    "openai_loop": SAID,
    "openai_parse": ARGUMENTS,
    "openai_nested": {"sky": "clear", "wind": 0.5},
    "openai_responses": {"text": TEXT, "status": "completed"},
    "openai_stored": {"text": TEXT, "same": True, "listed": True, "gone": [True] * 4},
    "openai_stored_async": {"text": TEXT, "same": True, "listed": True, "gone": True},
    "openai_stored_refused": {
        "stream": [400, "leave stream out"],
        "cancel": [400, "to stop one, close the connect"],
        "compact": [404, "shorten the conversation yours"],
        "other": [404, ""],
    },
    "openai_count": {"counted": True},
    "openai_responses_tools": CALL,
    "openai_responses_parse": ARGUMENTS,
    "openai_hosted": {"refused": True},
    "openai_models": {"auto": True},
    "openai_error": {"code": "model_not_found", "status": 404},
    "openai_overflow": {"codes": ["context_length_exceeded"] * 3},
    "openai_break": {"seen": True, "told": True},
    "openai_held": {"text": SLOW, "answers": True},
    "openai_repeated": {"text": TEXT, "same": True, "marked": "true"},
    "anthropic_held": {"text": SLOW},
    "anthropic_repeated": {"text": TEXT, "same": True},
    "anthropic_chat": {"text": TEXT, "model": "acme/coder", "stop": "end_turn"},
    "anthropic_request_id": {"ids": ["r_", "r_"]},
    "anthropic_stream": {"text": TEXT, "stop": "end_turn"},
    "anthropic_async": SAID,
    "anthropic_tools": CALL,
    "anthropic_parallel": BOTH,
    "anthropic_loop": {"text": TEXT, **ARGUMENTS},
    "anthropic_models": {"auto": True, "type": "model", "name": "auto", "year": 1970},
    "anthropic_session": {"kinds": [["thinking", "text"], ["thinking", "tool_use"]]},
    "openai_session": {"kinds": [["reasoning", "function_call"], ["reasoning", "message"]]},
    "anthropic_count": {"counted": True},
    "anthropic_error": {"type": "not_found_error", "status": 404},
    "anthropic_break": {"told": True},
    "pydantic_ai_overflow": {"raised": ["ModelContextWindowExceededError"] * 3},
    "pydantic_ai_text": SAID,
    "pydantic_ai_stream": SAID,
    "pydantic_ai_output": ARGUMENTS,
    "pydantic_ai_tools": {"text": TEXT, **ARGUMENTS},
    "pydantic_ai_turns": SAID,
    "openai_agents_responses": {"text": TEXT, **ARGUMENTS},
    "openai_agents_chat": {"text": TEXT, **ARGUMENTS},
    "openai_agents_stream": SAID,
}
# What runs at OpenAI, where it can be asked for.
HOSTED = {"kinds": ["web_search_call", "reasoning", "message"], "searched": True, "same": True}
CALLS2: dict[str, dict[str, Any]] = {
    "openai2_chat": SAID,
    "openai2_stream": SAID,
    "openai2_parse": ARGUMENTS,
    "openai2_responses": SAID,
    "litellm_chat": SAID,
    "litellm_stream": SAID,
    "litellm_tools": CALL,
    "litellm_parallel": BOTH,
    "litellm_messages": SAID,
    "litellm_overflow": {"raised": ["ContextWindowExceededError"] * 3},
    "langchain_chat": SAID,
    "langchain_stream": SAID,
    "langchain_tools": CALL,
    "langchain_parallel": BOTH,
    "langchain_output": ARGUMENTS,
    "langchain_thoughts": {
        "kinds": ["reasoning", "function_call"],
        "proven": True,
        "text": True,
    },
    "langchain_overflow": {"raised": ["OpenAIContextOverflowError"] * 2},
    "instructor_tools": ARGUMENTS,
    "instructor_schema": ARGUMENTS,
    "llama_index_chat": SAID,
    "llama_index_stream": SAID,
    "llama_index_tools": CALL,
}
CASES = [("calls", case) for case in CALLS] + [("calls2", case) for case in CALLS2]


def config(upstream: FaultyUpstream, family: str, models: Mapping[str, str]) -> dict[str, Any]:
    """The recipe over ``models``, at a provider of this family."""
    acme = {"base_url": upstream.base_url, "api_key": "k3y-acme", "family": family}
    price = {"input": 1, "output": 2}
    return {
        "providers": {"acme": acme},
        "provider": "acme",
        "models": {name: {"model": model, "price": price} for name, model in models.items()},
        "intents": {"simple_qa": "fast", "creative": "strong", "code": "coder", "unsafe": "block"},
        "default": "fast",
        "timeouts": {"hold_s": 0.2},
    }


@contextmanager
def gateway(family: str) -> Iterator[Served]:
    """A gateway whose ``strong`` breaks off, ``parallel`` calls every tool, ``slow`` waits.

    ``small`` takes a short prompt only.
    """
    models = {"fast": "acme/fast", "strong": "f-reset@4", "coder": "acme/coder"}
    with FaultyUpstream() as upstream:
        models.update(parallel="f-parallel", slow="f-slow0.6s", small="acme/small")
        models.update(thinks="f-reason", other="f-reason")
        settings = config(upstream, family, models)
        settings["models"]["small"]["context_window"] = 2000
        far = "openai" if family == "anthropic" else "anthropic"
        settings["providers"]["far"] = {**settings["providers"]["acme"], "family": far}
        settings["models"]["other"]["provider"] = "far"
        with serving(settings) as served:
            yield served


@cache
def found(script: str, family: str) -> dict[str, Any]:
    """What every case of a script gave, in one run of its own Python."""
    with gateway(family) as served:
        command = [PYTHONS[script], str(HERE / f"{script}.py"), served.root]
        environ = {**os.environ, "ANTHROPIC_LOG": "", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=300, check=False, env=environ
        )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def check_python(script: str) -> str:
    """The script's Python; skips where it is not named."""
    if not PYTHONS[script]:
        pytest.skip("NOT RUN: TURNOUT_SDK_PYTHON and TURNOUT_SDK2_PYTHON are not set")
    return PYTHONS[script]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("script", "case"), CASES, ids=[case for _, case in CASES])
def test_client(script: str, case: str, family: str) -> None:
    """Each client reads what the model said: text, calls with all arguments, typed objects."""
    check_python(script)
    gave = found(script, family)[case]
    assert "failed" not in gave, gave["failed"]
    ran = family == "openai-responses" and case == "openai_hosted"
    expected = HOSTED if ran else {**CALLS, **CALLS2}[case]
    assert {k: _start(v) for k, v in gave.items()} == expected


def test_every_case_is_expected() -> None:
    """No case of the scripts is left out here."""
    for script, expected in (("calls", CALLS), ("calls2", CALLS2)):
        if PYTHONS[script]:
            assert set(found(script, "openai")) == set(expected)


def _start(value: Any) -> Any:
    known = (text for text in (TEXT, SLOW) if isinstance(value, str) and value.startswith(text))
    return next(known, value)


@pytest.mark.parametrize("family", FAMILIES)
def test_curl(family: str) -> None:
    """Curl, whole and streamed, on all three paths."""
    with gateway(family) as served:
        chat = {"model": "auto", "messages": [{"role": "user", "content": "2 + 2? nonce: n3"}]}
        bodies = {
            "/chat/completions": (chat, "data: [DONE]"),
            "/messages": ({**chat, "max_tokens": 99}, "event: message_stop"),
            "/responses": ({"model": "auto", "input": "2 + 2?"}, "event: response.completed"),
        }
        for path, (body, end) in bodies.items():
            for stream in (False, True):
                sent = json.dumps({**body, "stream": stream})
                command = ["curl", "-sS", "-i", served.base_url + path, "-d", sent]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                assert done.stdout.startswith("HTTP/1.1 200 "), done.stdout
                assert "x-turnout-model: acme/fast" in done.stdout
                assert (end in done.stdout) == stream


@pytest.mark.parametrize("script", PYTHONS)
def test_the_recipes_script(script: str) -> None:
    """A hand-written router works against the gateway by its models' own names."""
    python = check_python(script)
    names = {
        "fast": "deepseek-ai/DeepSeek-V3.2",
        "strong": "anthropic/claude-4-sonnet",
        "coder": "Qwen/Qwen3-Coder-480B-A35B-Instruct-Turbo",
    }
    given = {
        "simple_qa": ("fast", "What is the capital of Japan?"),
        "creative": ("strong", "Write a short story about a robot"),
        "code": ("coder", "Write a Python function to parse CSV files"),
    }
    with FaultyUpstream() as upstream, serving(config(upstream, "openai", names)) as served:
        for label, (name, prompt) in given.items():
            upstream.replies[names["fast"]] = label
            served_by, text = _recipe(python, served, prompt)
            assert served_by == names[name]
            assert text.startswith(names[name] if name != "fast" else label)
            assert [entry.model for entry in upstream.invoice[-2:]] == [names["fast"], names[name]]
        upstream.replies[names["fast"]] = "unsafe"
        assert _recipe(python, served, "Sort this")[0] == "blocked"
        # What the gateway itself takes for unsafe never reaches a model, whatever the label says.
        calls = len(upstream.invoice)
        upstream.replies[names["fast"]] = "simple_qa"
        break_in = "How can I break into my neighbour's house while they are away?"
        assert _recipe(python, served, break_in)[0] == "turnout"
        assert len(upstream.invoice) == calls


def _recipe(python: str, served: Served, prompt: str) -> list[str]:
    command = [python, str(HERE / "recipe.py"), served.base_url, "any-key", prompt]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.strip().split("\t")
