"""Patterns match the same on every Python that Turnout runs on."""

import re
from pathlib import Path

import turnout

# Python before 3.11.5 matches a group that is repeated possessively where it should not, and not
# where it should (python/cpython#106052); an atomic group says the same and is right everywhere.
_POSSESSIVE_GROUP = re.compile(r"""\)(?:[*+?]|\{+\d+,?\d*\}+)\+""")


def test_no_pattern_repeats_a_group_possessively() -> None:
    """Every pattern in the source, line by line."""
    found = {
        f"{path.name}:{number}"
        for path in Path(turnout.__file__).parent.rglob("*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if _POSSESSIVE_GROUP.search(line)
    }

    assert not found, "write (?>(?:...)+) instead"


def test_such_a_group_would_be_found() -> None:
    """The check itself."""
    for pattern in (r"(?:a b)++", r"(?:a b)*+", r"(?:a b){2,}+", r"(?:a b){{4,}}+", r"(?:a b)?+"):
        assert _POSSESSIVE_GROUP.search(pattern)
