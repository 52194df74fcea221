"""``turnout init``: whatever is found here, the file that it writes loads and routes."""

from pathlib import Path

import pytest
import yaml

from tests.cli.run import run
from tests.runtime.world import CODE, FACT, STORY, UNSAFE
from turnout.catalog import Provider
from turnout.catalog.presets import presets
from turnout.cli.first_settings import choose_models
from turnout.cli.providers_here import FoundProvider, on_this_machine, with_models
from turnout.testing import FaultyUpstream

KEYS = {facts["api_key_env"]: n for n, facts in presets().items() if facts.get("api_key_env")}
HERE = ("llama3.2:3b", "qwen2.5-coder:7b", "nomic-embed-text:latest", "gemma3:27b")


@pytest.fixture(autouse=True)
def _no_models_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """No server of this machine's own is met; nobody listens at these ports."""
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.setenv("LLAMA_ARG_PORT", "9")


def routes(capfd: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Where ./turnout.yaml sends a prompt of each kind, and that it blocks what is unsafe."""
    assert run(capfd, "route", "--no-ledger", "--json", UNSAFE).json["blocked"]
    found = {}
    for text in (FACT, STORY, CODE):
        decision = run(capfd, "route", "--no-ledger", "--json", text).json
        found[text] = decision["chosen_model"]
    return found


@pytest.mark.parametrize("variable", KEYS)
def test_one_key_is_enough(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """Three models of its provider with known prices; the key stands nowhere."""
    monkeypatch.setenv(variable, "s3cret-key")
    ran = run(capfd, "init")
    assert (ran.code, ran.err) == (0, "")
    text = Path("turnout.yaml").read_text()
    assert "s3cret" not in text + ran.out
    assert len(text.splitlines()) <= 13
    listed = run(capfd, "models", "--json").json
    assert {m["provider"] for m in listed} == {KEYS[variable]}
    assert all(float(m["input_usd_per_mtok"]) > 0 for m in listed)
    assert {m["state"] for m in listed} == {"ready"}
    found = routes(capfd)
    assert found[FACT] != found[STORY]
    assert len(set(found.values())) == len(listed)


def test_every_pick_has_a_price() -> None:
    """A name that the price book does not know would never be picked."""
    for variable, name in KEYS.items():
        provider = Provider(name=name, base_url=presets()[name]["base_url"], api_key_env=variable)
        for role, models in presets()[name]["picks"].items():
            for model in models:
                one = FoundProvider(provider=provider, listed=(model,))
                assert choose_models([one], {})[role].model == model


def test_of_several_keys_each_role_takes_one(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cheapest for what is easy and for code, the dearest for what is hard."""
    for variable in KEYS:
        monkeypatch.setenv(variable, "k")
    ran = run(capfd, "init", "--json")
    roles = ran.json["roles"]
    assert {one["provider"] for one in ran.json["found"]} == set(KEYS.values())
    price = {role: float(one["output_usd_per_mtok"]) for role, one in roles.items()}
    assert price["fast"] < price["coder"] < price["strong"]
    assert routes(capfd)[STORY] == roles["strong"]["model"]
    assert Path("turnout.yaml").read_text() == ran.json["text"]


def test_without_any_key_the_recipe_is_written(capfd: pytest.CaptureFixture[str]) -> None:
    """The embedded model answers for it, and the file says until when."""
    ran = run(capfd, "init")
    assert (ran.code, "the embedded model answers" in ran.out) == (0, True)
    assert ran.out.endswith("next: turnout demo, then turnout serve\n")
    assert "RUNCRATE_API_KEY" in Path("turnout.yaml").read_text()
    assert routes(capfd)[CODE].startswith("Qwen/")
    answered = run(capfd, "ask", "--no-ledger", "--json", "--max-tokens", "8", "Say hello").json
    assert answered["stand_in"]


def test_models_on_this_machine_are_found(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The smallest is fast, the largest strong, one for code is known by its name."""
    with FaultyUpstream(models=HERE) as upstream:
        monkeypatch.setenv("OLLAMA_HOST", upstream.base_url.removesuffix("/v1"))
        ran = run(capfd, "init")
        assert (ran.code, ran.err) == (0, "")
        assert [r.path for r in upstream.requests] == ["/v1/models"]
        models = yaml.safe_load(Path("turnout.yaml").read_text())["models"]
        assert models == {"fast": HERE[0], "strong": HERE[3], "coder": HERE[1]}
        asked_for = run(capfd, "ask", "--no-ledger", "--json", CODE).json
    assert (asked_for["answered_by"], asked_for["cost_usd"]) == (HERE[1], 0)


def test_one_model_on_this_machine_is_named_once(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """llama.cpp has one, whose name may be a path with anything in it."""
    name = "/models/some model #1: x.gguf"
    with FaultyUpstream(models=(name,)) as upstream:
        monkeypatch.setenv("LLAMA_ARG_PORT", str(upstream.port))
        assert run(capfd, "init").code == 0
        assert yaml.safe_load(Path("turnout.yaml").read_text())["models"] == {"fast": name}
        assert set(routes(capfd).values()) == {name}


def test_with_a_key_this_machine_is_asked_only_when_told(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then what is easy costs nothing, and what is hard still goes to who is paid."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    with FaultyUpstream(models=HERE) as upstream:
        monkeypatch.setenv("OLLAMA_HOST", upstream.base_url.removesuffix("/v1"))
        alone = run(capfd, "init", "--print", "--json").json
        assert (alone["roles"]["fast"]["provider"], upstream.requests) == ("anthropic", [])
        both = run(capfd, "init", "--local", "--print", "--json").json
    assert {role: one["provider"] for role, one in both["roles"].items()} == {
        "fast": "ollama",
        "strong": "anthropic",
        "coder": "ollama",
    }
    assert run(capfd, "init", "--no-local").code == 0


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("", "http://127.0.0.1:11434/v1"),
        ("0.0.0.0", "http://127.0.0.1:11434/v1"),  # noqa: S104 -- only parsed
        (":9000", "http://127.0.0.1:9000/v1"),
        ("[::1]:9000", "http://[::1]:9000/v1"),
        ("https://localhost", "http://localhost:11434/v1"),
        ("models.example.com:11434", None),
        ("10.1.2.3", None),
        ("127.0.0.1:port", None),
    ],
)
def test_nobody_but_this_machine_is_looked_at(given: str, address: str | None) -> None:
    """Ollama's own variable may name another one, which is not ours to ask."""
    found = {one.name: one.provider.base_url for one in on_this_machine({"OLLAMA_HOST": given})}
    assert found.get("ollama") == address


@pytest.mark.parametrize("family", ["openai", "anthropic"])
def test_who_is_asked_lists_what_can_be_picked(family: str) -> None:
    """A pick that is not there makes room for the next one; dated releases count."""
    names = ("gpt-5-mini-2025-08-07", "claude-haiku-4-5-20251001", "gpt-4.1", "claude-opus-5")
    with FaultyUpstream(models=names, api_key="k3y") as upstream:
        variable = f"{family.upper()}_API_KEY"
        provider = Provider(
            name=family,
            base_url=upstream.base_url,
            family=family,  # type: ignore[arg-type]
            api_key="k3y",
            api_key_env=variable,
        )
        (found,) = with_models([FoundProvider(provider=provider)])
        roles = choose_models([found], {variable: "k3y"})
    assert found.listed == names
    fast, strong = ("gpt-5-mini", "gpt-4.1") if family == "openai" else (
        "claude-haiku-4-5", "claude-opus-5",
    )  # fmt: skip
    assert {role: choice.model for role, choice in roles.items()} == {
        "fast": fast,
        "strong": strong,
        "coder": strong,
    }


def test_who_does_not_answer_is_told() -> None:
    """A wrong key, or nobody there: its picks stand unverified."""
    with FaultyUpstream(api_key="k3y") as upstream:
        wrong = Provider(name="groq", base_url=upstream.base_url, api_key="x", api_key_env="K")
        away = Provider(name="groq", base_url="http://127.0.0.1:9/v1", api_key_env="K")
        refused, gone = with_models([FoundProvider(provider=wrong), FoundProvider(provider=away)])
    assert refused.problem == "HTTP 401: Incorrect API key provided."
    assert "127.0.0.1:9" in str(gone.problem)
    assert (refused.listed, gone.listed) == (None, None)


def test_a_file_that_is_there_is_kept(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless ``--force`` says otherwise; ``--print`` writes none."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    printed = run(capfd, "init", "--print")
    assert "found openai: OPENAI_API_KEY\n" in printed.err
    assert not Path("turnout.yaml").exists()
    Path("turnout.yaml").write_text("mine")
    ran = run(capfd, "init")
    assert (ran.code, "--force" in ran.err, ran.out) == (2, True, "")
    assert run(capfd, "init", "--print").out == printed.out
    assert Path("turnout.yaml").read_text() == "mine"
    assert run(capfd, "init", "--force").code == 0
    assert Path("turnout.yaml").read_text() == printed.out
    assert run(capfd, "init", "--out", "none/turnout.yaml").code == 2


def test_a_provider_without_a_known_model_is_an_error(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Embedding models alone answer nothing; the recipe would be no help."""
    with FaultyUpstream(models=("nomic-embed-text:latest",)) as upstream:
        monkeypatch.setenv("OLLAMA_HOST", upstream.base_url.removesuffix("/v1"))
        ran = run(capfd, "init")
    assert (ran.code, "lists no model that is known here" in ran.err) == (2, True)
    assert not Path("turnout.yaml").exists()
