"""Requests drawn from the gateway's own OpenAPI document: nothing that it describes is a 5xx."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.runtime.world import config

from turnout.testing import FaultyUpstream, serving

PYTHON = os.environ.get("TURNOUT_FUZZ_PYTHON", "")
EXAMPLES = os.environ.get("TURNOUT_FUZZ_EXAMPLES", "50")
# Left out: that whatever fits the schema must be accepted. Other rules apply, too, such as that a
# prompt is not empty, and the answer to a body that breaks one names it.
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,response_headers_conformance,unsupported_method,"
    "negative_data_rejection"
)


@pytest.mark.slow
def test_what_the_document_describes_holds(tmp_path: Path) -> None:
    """Every operation, with bodies that fit and bodies that do not; seeded."""
    if not PYTHON:
        pytest.skip("NOT RUN: TURNOUT_FUZZ_PYTHON is not set")
    with (
        FaultyUpstream() as upstream,
        serving(config(upstream, ledger=str(tmp_path / "ledger.db"))) as served,
    ):
        command = [str(Path(PYTHON).with_name("schemathesis")), "run"]
        command += [f"{served.root}/openapi.json", "--checks", CHECKS, "--seed", "1"]
        # The administrator's key, so that every operation is reached.
        token = served.config_path.with_name("admin-token").read_text(encoding="utf-8").strip()
        command += ["--header", f"x-api-key: {token}"]
        command += ["--max-examples", EXAMPLES, "--no-color", "--phases", "coverage,fuzzing"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        assert "Traceback" not in served.log()
