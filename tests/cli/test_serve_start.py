"""A gateway's start loads what it needs and no more."""

import subprocess
import sys
from pathlib import Path

import pytest

from turnout.ledger import schema, store_at
from turnout.ledger.keys import has_keys, stored_keys
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
_CONFIG = {"models": {"m": "deepseek-ai/DeepSeek-V3.2"}, "default": "m"}
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


@pytest.mark.parametrize("migrations", [1, 3, 4, 5, 7])
def test_a_gateway_starts_on_a_ledger_of_an_older_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, migrations: int
) -> None:
    """It is brought up to date, also if it is from before keys, or before these had old secrets."""
    path = tmp_path / "ledger.db"
    with monkeypatch.context() as older:
        older.setattr(schema, "MIGRATIONS", schema.MIGRATIONS[:migrations])
        store = store_at(path)
        store.open()
        assert not has_keys(store)
        store.close()
    with serving({**_CONFIG, "ledger": str(path)}) as served:
        assert served.process.poll() is None
    assert stored_keys(store_at(path)) == []


@pytest.mark.parametrize("key", ["", "k3y"])
def test_a_gateway_without_any_key_says_who_answers(key: str) -> None:
    """Its callers see the answers of a small model and not this terminal."""
    config = {"provider": "runcrate", "models": {"m": "deepseek-ai/DeepSeek-V3.2"}, "default": "m"}
    with serving(config, environ={"RUNCRATE_API_KEY": key}) as served:
        told = [line for line in served.log().splitlines() if "no API key found" in line]
    assert len(told) == (not key)
    assert all('"set":["RUNCRATE_API_KEY"]' in line for line in told)
