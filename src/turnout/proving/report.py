"""What a proof is given, and its result: checks that passed, failed, or showed nothing.

Invariant: a proof passes only if no check failed or had too little data, and at least one passed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Result = Literal["PASS", "FAIL", "UNPROVEN", "NOT RUN"]
NOT_RUN: Result = "NOT RUN"


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a proof: its seed, a folder of its own, and what is told how much is done."""

    seed: int
    folder: Path
    progress: Callable[[int], None] = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check: its figures, and what is wrong in words. UNPROVEN had too little data."""

    name: str
    result: Result
    figures: Mapping[str, Any] = field(default_factory=dict)
    detail: str = ""

    def line(self) -> str:
        """The check in one line."""
        figures = ", ".join(f"{name} {_formatted(value)}" for name, value in self.figures.items())
        parts = [f"{self.result:<9}{self.name}", figures, self.detail]
        return ": ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """All checks of a promise, with the seed that repeats them."""

    promise: str
    seed: int
    checks: tuple[Check, ...]

    @property
    def result(self) -> Result:
        """FAIL if any check failed, UNPROVEN if any had too little data or none was run."""
        results = {check.result for check in self.checks}
        if "FAIL" in results:
            return "FAIL"
        return "UNPROVEN" if "UNPROVEN" in results or "PASS" not in results else "PASS"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "promise": self.promise,
            "seed": self.seed,
            "result": self.result,
            "passed": self.result == "PASS",
            "checks": [
                {"name": c.name, "result": c.result, **c.figures, "detail": c.detail}
                for c in self.checks
            ],
        }


def check_of(
    name: str, wrong: Mapping[str, int], *, fix: str = "run it again", **figures: Any
) -> Check:
    """A check that passes when every count in ``wrong`` is zero and something was acknowledged.

    If nothing was, it is UNPROVEN, and ``fix`` says what to do.
    """
    result: Result = "FAIL" if any(wrong.values()) else "PASS"
    detail = ""
    if result == "PASS" and not figures.get("acknowledged", 1):
        result = "UNPROVEN"
        detail = f"too little data: nothing was acknowledged; {fix}"
    return Check(name=name, result=result, figures={**figures, **wrong}, detail=detail)


def _formatted(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)
