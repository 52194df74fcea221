"""``turnout import``: another tool's file becomes one that serves, and what is lost is said."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.run import Ran, run
from turnout.testing import FaultyUpstream

_FILE = """
model_list:
  - model_name: big
    litellm_params:
      model: openai/acme/large
      api_base: {url}
      api_key: os.environ/BIG_KEY
      input_cost_per_token: 0.000003
      output_cost_per_token: 0.000015
      rpm: 6
  - model_name: big
    litellm_params: {{model: openai/gpt-4o, weight: 2}}
  - model_name: small
    litellm_params: {{model: hosted_vllm/acme/small, api_base: "{url}"}}
    model_info: {{max_input_tokens: 4096}}
  - model_name: vectors
    litellm_params: {{model: text-embedding-3-small}}
    model_info: {{mode: embedding}}
  - model_name: cloud
    litellm_params: {{model: bedrock/some-model}}
  - model_name: smart
    litellm_params:
      model: auto_router/complexity_router
      complexity_router_config: {{tiers: {{SIMPLE: small, COMPLEX: big, REASONING: cloud}}}}
      complexity_router_default_model: small
litellm_settings: {{num_retries: 2, fallbacks: [{{small: [big, cloud]}}], success_callback: [x]}}
router_settings: {{model_group_alias: {{gpt-4: big}}, cooldown_time: 30}}
general_settings: {{master_key: sk-1234}}
"""


def _imported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, kind: str = "litellm"
) -> tuple[Ran, dict[str, Any]]:
    path = tmp_path / f"{kind}.yaml"
    path.write_text(text, encoding="utf-8")
    ran = run(capfd, "import", kind, str(path))
    return ran, yaml.safe_load(ran.out) if ran.code == 0 else {}


def test_models_prices_places_and_routes_are_carried_over(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Two entries of one name are two places of one model, and tiers are intents."""
    ran, made = _imported(tmp_path, capfd, _FILE.format(url="http://127.0.0.1:9/v1"))
    assert ran.code == 0
    big = made["models"]["big"]["deployments"]
    assert big[0]["api_key"] == "${BIG_KEY}"
    assert (big[0]["price"]["input"], big[0]["price"]["output"]) == (3.0, 15.0)
    assert (big[1]["provider"], big[1]["weight"]) == ("openai", 2)
    assert made["models"]["small"]["context_window"] == 4096
    assert made["models"]["small"]["deployments"][0]["price"] == "unknown"
    assert made["models"]["vectors"]["kind"] == "embedding"
    assert made["default"] == "small"
    assert made["fallbacks"] == {"small": ["big"]}
    assert made["aliases"] == {"gpt-4": "big", "smart": "auto"}
    assert (made["retries"]["retries"], made["health"]["cooldown_s"]) == (2, 30)
    assert made["intents"]["unsafe"] == "block"
    assert (made["intents"]["simple_qa"], made["intents"]["code"]) == ("small", "big")


def test_each_thing_that_is_lost_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A line each, on standard error."""
    ran, _ = _imported(tmp_path, capfd, _FILE.format(url="http://127.0.0.1:9/v1"))
    for lost in ("rpm", "bedrock", "success_callback", "TURNOUT_KEYS", "'cloud'", "acme/small"):
        assert len([line for line in ran.err.splitlines() if lost in line]) == 1, lost


def test_what_was_made_serves(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its model with a place of the user's own is called there, by its own id and key."""
    monkeypatch.setenv("BIG_KEY", "the-key")
    made = tmp_path / "turnout.yaml"
    with FaultyUpstream(models=("acme/large", "acme/small"), api_key="the-key") as upstream:
        theirs = tmp_path / "litellm.yaml"
        theirs.write_text(_FILE.format(url=upstream.base_url), encoding="utf-8")
        assert run(capfd, "import", "litellm", str(theirs), "--out", str(made)).code == 0
        asked = run(capfd, "ask", "--json", "-m", "gpt-4", "--no-ledger", "Say hello.")
    assert asked.code == 0
    assert asked.json["answered_by"] == "acme/large"
    again = run(capfd, "import", "litellm", str(theirs), "--out", str(made))
    assert (again.code, "is there already" in again.err) == (2, True)


_GOOD = "model_list: [{model_name: a, litellm_params: {model: gpt-4o}}]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: x", "no model_list"),
        ("model_list: [{model_name: a}]", "model_list[0] needs model_name"),
        ("model_list: [{model_name: a, litellm_params: {model: bedrock/b}}]", "no model that"),
        (f"{_GOOD}\nrouter_settings: {{model_group_alias: {{b: c}}}}", "aliases.b"),
    ],
)
def test_other_files_are_refused_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    """Which names the place and what is missing there."""
    ran, _ = _imported(tmp_path, capfd, text)
    assert (ran.code, said in ran.err, ran.out) == (2, True, "")


def test_a_section_of_another_kind_is_passed_over(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It holds nothing that could be carried over."""
    ran, made = _imported(tmp_path, capfd, f"{_GOOD}\nlitellm_settings: 3\n")
    assert (ran.code, made["default"]) == (0, "a")


_THEIRS: dict[str, Any] = {
    "encoder_type": "openai",
    "encoder_name": "text-embedding-3-small",
    "routes": [
        {
            "name": "refunds",
            "utterances": ["I want my money back \U0001f600", "Refund me", "Undo my purchase"],
            "description": "money back",
            "function_schemas": None,
            "llm": None,
            "score_threshold": 0.3,
            "metadata": {},
        },
        {
            "name": "small talk",
            "utterances": ["How are you?", "How are you?", "Nice day", "What's up?", "refund  me"],
        },
        {
            "name": "code",
            "utterances": ["Write a loop", "Fix this bug", "Rename my class"],
            "llm": {"module": "m", "class": "C", "model": "gpt-4o"},
        },
        {"name": "time", "utterances": ["What time is it?"]},
    ],
}


@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump])
def test_routes_become_intents_of_ones_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], write: Any
) -> None:
    """From both formats; a name that is no label, or taken by a label, gets another one."""
    ran, made = _imported(tmp_path, capfd, write(_THEIRS), "semantic-router")
    assert ran.code == 0
    intents = made["intents"]
    assert list(intents) == ["refunds", "small_talk", "code_route", "unsafe"]
    assert intents["refunds"]["description"] == "money back"
    assert intents["refunds"]["examples"] == _THEIRS["routes"][0]["utterances"]
    assert intents["small_talk"]["examples"] == ["How are you?", "Nice day", "What's up?"]
    assert {intents[name]["model"] for name in ("refunds", "code_route")} == {made["default"]}
    for lost in (
        "small talk is called small_talk",
        "code is called code_route",
        "'refund  me' is one of refunds's",
        "llm not carried over",
        "time has 1 utterance to",
        "encoder_type, encoder_name: not needed",
        "thresholds of refunds: likeness",
        "refunds, small_talk, code_route: answered by",
    ):
        assert len([line for line in ran.err.splitlines() if lost in line]) == 1, lost
    assert "metadata" not in ran.err


def test_a_route_that_was_imported_is_found(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """By a prompt that is none of its utterances; one like none of them goes elsewhere."""
    path, made = tmp_path / "router.json", tmp_path / "turnout.yaml"
    path.write_text(json.dumps(_THEIRS["routes"]), encoding="utf-8")  # the routes alone will do
    assert run(capfd, "import", "semantic-router", str(path), "--out", str(made)).code == 0
    asked = ("Please refund my purchase", "Translate 'good morning' into French")
    ran = [run(capfd, "route", "-c", str(made), "--json", text) for text in asked]
    assert [one.json["intent"] for one in ran] == ["refunds", "translation"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{}", "no routes; give the file that to_json or to_yaml wrote"),
        ("router_type: chain\nrouters: [a]\n", "no routes; give"),
        ('{"routes": [{"utterances": []}]}', "routes[0] needs a name"),
        ('{"routes": [{"name": "a", "utterances": ["b", 3]}]}', "no route that can be learned"),
    ],
)
def test_routes_that_are_none_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    """Naming the place and what is missing there."""
    ran, _ = _imported(tmp_path, capfd, text, "semantic-router")
    assert (ran.code, said in ran.err, ran.out) == (2, True, "")
