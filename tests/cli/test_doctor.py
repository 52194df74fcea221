"""``turnout doctor`` says of each model what works, and leaves with 1 where one does not answer."""

from pathlib import Path

import pytest

from tests.cli.run import run
from turnout.testing import FaultyUpstream

_CONFIG = """
providers: {{acme: {{base_url: "{url}", api_key: some-key}}}}
provider: acme
models:
  good: {{model: acme/small, price: {{input: 1, output: 2}}}}
  {more}
default: good
fallbacks: [good]
ledger: "off"
"""
_BAD = "bad: {model: acme/large, price: {input: 1, output: 2}}"


def _config(tmp_path: Path, upstream: FaultyUpstream, more: str = _BAD) -> str:
    path = tmp_path / "turnout.yaml"
    path.write_text(_CONFIG.format(url=upstream.base_url, more=more), encoding="utf-8")
    return str(path)


def test_each_model_is_asked_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """The fallback of a model that fails does not hide its failure, and it is asked once."""
    with FaultyUpstream(scripts={"acme/large": "f-401"}) as upstream:
        ran = run(capfd, "doctor", "--json", "--config", _config(tmp_path, upstream))
    good, bad = ran.json
    assert ran.code == 1
    assert [good[what] for what in ("answer", "stream", "tools", "json")] == ["ok"] * 4
    assert good["cost_usd"] > 0
    assert good["first_token_ms"] > 0
    assert not bad["serves"]
    assert "key" in bad["answer"]
    assert bad["stream"] == "not tried"
    assert len(upstream.entries("acme/small")) == 4
    assert len(upstream.entries("acme/large")) == 1


def test_a_stream_that_breaks_is_found(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Whole answers are well there, and a table tells the two apart."""
    with FaultyUpstream(scripts={"acme/large": "f-badchunks@1"}) as upstream:
        ran = run(capfd, "doctor", "--config", _config(tmp_path, upstream))
    assert ran.code == 1
    assert "bad: stream: " in ran.out


@pytest.mark.parametrize(
    ("fault", "remark"),
    [("f-othermodel", "serves "), ("f-nousage", "counts no tokens")],
)
def test_what_a_bill_would_be_surprised_by_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], fault: str, remark: str
) -> None:
    """A model that is not what was asked for, and tokens that nobody counts."""
    with FaultyUpstream(scripts={"acme/large": fault}) as upstream:
        ran = run(capfd, "doctor", "--json", "--config", _config(tmp_path, upstream))
    good, odd = ran.json
    assert ran.code == 0
    assert good["remarks"] == []
    assert any(said.startswith(remark) for said in odd["remarks"])


def test_a_model_without_a_key_is_not_called(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is said which variable to set."""
    keyless = "keyless: {model: deepseek-ai/DeepSeek-V3.2, provider: runcrate}"
    with FaultyUpstream() as upstream:
        ran = run(capfd, "doctor", "--json", "--config", _config(tmp_path, upstream, keyless))
    assert ran.code == 1
    assert "RUNCRATE_API_KEY" in ran.json[1]["answer"]
    assert {entry.model for entry in upstream.invoice} == {"acme/small"}


def test_a_model_may_lack_tools_and_json(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Which is said, and no failure."""
    with FaultyUpstream(replies={"acme/large": "Hello!"}) as upstream:
        ran = run(capfd, "doctor", "--json", "--config", _config(tmp_path, upstream))
    assert ran.code == 0
    assert ran.json[1]["json"] == "answered without JSON"
