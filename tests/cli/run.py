"""Runs a command in this process, and returns what a shell would see."""

import io
import sys
from dataclasses import dataclass
from typing import Any
from unittest import mock

import orjson
import pytest

from turnout.cli import main


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return orjson.loads(self.out)


def run(capfd: pytest.CaptureFixture[str], *arguments: str, stdin: bytes | None = None) -> Ran:
    """``turnout ARGUMENTS`` with ``stdin``, if any, piped in."""
    pipe = io.TextIOWrapper(io.BufferedReader(io.BytesIO(stdin or b"")), encoding="utf-8")
    with mock.patch.object(sys, "stdin", pipe), pytest.raises(SystemExit) as left:
        main(arguments)
    seen = capfd.readouterr()
    return Ran(code=int(left.value.code or 0), out=seen.out, err=seen.err)
