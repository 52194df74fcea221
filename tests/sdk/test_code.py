"""What ``turnout code`` tells an agent is what the real SDKs read.

As the other clients, the SDKs live in the environment whose Python ``TURNOUT_SDK_PYTHON`` names.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.runtime.world import CODE, PATIENT, config
from turnout.testing import FaultyUpstream

PYTHON = os.environ.get("TURNOUT_SDK_PYTHON", "")
_ANTHROPIC = f"""
import anthropic, os
answer = anthropic.Anthropic(max_retries=0).messages.create(
    model=os.environ["ANTHROPIC_MODEL"],
    max_tokens=50,
    messages=[{{"role": "user", "content": {CODE!r}}}],
)
text = answer.content[0].text
"""
_OPENAI = f"""
import openai, os
answer = openai.OpenAI(max_retries=0).chat.completions.create(
    model=os.environ["OPENAI_MODEL"], messages=[{{"role": "user", "content": {CODE!r}}}]
)
text = answer.choices[0].message.content
"""

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("clients")]


@pytest.mark.skipif(not PYTHON, reason="TURNOUT_SDK_PYTHON is not set: make test-all sets it up")
@pytest.mark.parametrize(("agent", "call"), [("claude", _ANTHROPIC), ("qwen", _OPENAI)])
def test_an_agent_on_an_sdk_is_answered(tmp_path: Path, agent: str, call: str) -> None:
    """With nothing in its code that says where to ask."""
    program = tmp_path / agent
    tail = "import json, sys\nprint(json.dumps([answer.model, text, sys.argv[1:]]))\nsys.exit(3)\n"
    program.write_text(f"#!{PYTHON}\n{call}{tail}")
    program.chmod(0o755)
    environ = {**os.environ, "PATH": str(tmp_path), "TURNOUT_STATE_DIR": str(tmp_path)}
    environ.pop("ANTHROPIC_API_KEY", None)
    with FaultyUpstream() as upstream:
        settings = {**config(upstream, timeouts=PATIENT), "ledger": "off"}
        (tmp_path / "turnout.yaml").write_text(yaml.safe_dump(settings))
        done = subprocess.run(
            [sys.executable, "-m", "turnout", "code", agent, "--port", "9", "--", "--resume"],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environ,
            timeout=120,
        )
    assert done.returncode == 3, done.stderr
    model, text, arguments = json.loads(done.stdout)
    assert (model, arguments) == ("acme/coder", ["--resume"])
    assert text.startswith("acme/coder answers")
