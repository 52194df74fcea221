"""A gateway's start loads what it needs and no more."""

import subprocess
import sys

import pytest

from turnout.testing import serving

_PARENT = """
import sys
import turnout.cli.serve, turnout.cli.supervise
heavy = {"numpy", "splintr", "rich", "uvloop", "turnout.runtime", "turnout.classifiers"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
_FIRST_STAGE = """
from turnout.classifiers import LocalClassifier, encoder
classifier = LocalClassifier.load()
classifier.warm(fully=False)
(found,) = classifier.begin_batch([[{"role": "user", "content": "What is the capital of Japan?"}]])
assert found.intents[0][0] == "simple_qa", found
assert encoder._load_encoder.cache_info().currsize == 0
classifier.warm()
assert encoder._load_encoder.cache_info().currsize == 1
"""
_GATEWAY = """
from turnout import Router
from turnout.classifiers import encoder
from turnout.gateway.app import Gateway
config = {"models": {"m": "deepseek-ai/DeepSeek-V3.2"}, "default": "m", "ledger": "off"}
gateway = Gateway(Router.from_config(config, environ={}))
gateway.prepare()
assert encoder._load_encoder.cache_info().currsize == 0
gateway.engine.prepare()
assert encoder._load_encoder.cache_info().currsize == 1
"""


@pytest.mark.parametrize(
    "program", [_PARENT, _FIRST_STAGE, _GATEWAY], ids=["parent", "first stage", "gateway"]
)
def test_nothing_is_loaded_in_vain(program: str) -> None:
    """A parent of workers loads no models; the first answers need no encoder."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("key", ["", "k3y"])
def test_a_gateway_without_any_key_says_who_answers(key: str) -> None:
    """Its callers see the answers of a small model and not this terminal."""
    config = {"provider": "runcrate", "models": {"m": "deepseek-ai/DeepSeek-V3.2"}, "default": "m"}
    with serving(config, environ={"RUNCRATE_API_KEY": key}) as served:
        told = [line for line in served.log().splitlines() if "no API key found" in line]
    assert len(told) == (not key)
    assert all('"set":["RUNCRATE_API_KEY"]' in line for line in told)
