"""What a proof is given in tests."""

from pathlib import Path

import pytest

from turnout.proving.report import Trial


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    """The first seed, in a folder of the test."""
    return Trial(1, tmp_path)
