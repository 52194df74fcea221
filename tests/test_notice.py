"""NOTICE attributes what the shipped classifier was trained on."""

import re
from pathlib import Path

from turnout.classifiers import LocalClassifier


def test_every_public_source_of_the_model_card_is_attributed() -> None:
    """By the name that the card has, and none besides."""
    card = LocalClassifier.load().card.partition("## Trained on")[2]
    trained = set(re.findall(r"^\| ([^ |]+) \|", card, re.MULTILINE))
    public = {name for name in trained if not name.startswith("own")} - {"source"}
    notice = (
        (Path(__file__).parents[1] / "NOTICE")
        .read_text(encoding="utf-8")
        .partition("classifier artefact was")[2]
    )
    lists = re.sub(r"\([^)]*\)", "", notice.partition("\n\n")[2])
    named = set(re.findall(r"[a-z][a-z0-9_]+", re.sub(r"^\S+:", "", lists, flags=re.MULTILINE)))
    assert named == public
