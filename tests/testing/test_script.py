"""Model names that script faults."""

import pytest

from turnout.testing.script import FLAGS, HONEST, POSITIONED, Script, parse


@pytest.mark.parametrize(
    ("model", "script"),
    [
        ("gpt-4o", HONEST),
        ("deepseek-ai/DeepSeek-V3.2", HONEST),
        ("f-429", Script(status=429)),
        ("acme/f-429", Script(status=429)),
        ("f-429-ra5", Script(status=429, wait=("ra", 5.0))),
        ("f-429-ra1.5", Script(status=429, wait=("ra", 1.5))),
        ("f-429-radate", Script(status=429, wait=("radate", 1.0))),
        ("f-429-rams1500", Script(status=429, wait=("rams", 1500.0))),
        ("f-429-rareset30", Script(status=429, wait=("rareset", 30.0))),
        ("f-slow2s", Script(slow_s=2.0)),
        ("f-slow50ms-drip20ms", Script(slow_s=0.05, drip_s=0.02)),
        ("f-reset@5", Script(at={"reset": 5})),
        ("f-error-in-stream@2", Script(at={"error": 2})),
        ("f-badchunk@1-reset@3", Script(at={"badchunk": 1, "reset": 3})),
        ("f-500-fails2", Script(status=500, fails=2)),
        ("f-500-fails=2", Script(status=500, fails=2)),
        ("f-tokens40-nousage", Script(tokens=40, flags=frozenset({"nousage"}))),
    ],
)
def test_names_mean_scripts(model: str, script: Script) -> None:
    """Faults combine; a vendor's path before the name does not matter."""
    assert parse(model) == script


@pytest.mark.parametrize("model", ["f-wat", "f-500-", "f-wat@3", "f-ra5x", "f-slow2"])
def test_an_unknown_word_is_refused(model: str) -> None:
    """A slip of the pen is an error, not an honest answer."""
    with pytest.raises(ValueError, match="is no fault; use"):
        parse(model)


@pytest.mark.parametrize("word", [*FLAGS, *(f"{place}@2" for place in POSITIONED)])
def test_every_listed_word_is_known(word: str) -> None:
    """What the list offers, the parser takes."""
    assert parse(f"f-{word}") != HONEST
