"""What a proof is given, and its result: checks that passed, failed or could not be run.

Invariant: a proof passes only when no check failed and at least one was run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Result = Literal["PASS", "FAIL", "NOT RUN"]
NOT_RUN: Result = "NOT RUN"


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a proof: its seed, a folder of its own, and what is told how much is done."""

    seed: int
    folder: Path
    progress: Callable[[int], None] = lambda _: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check: its figures, and what is wrong in words."""

    name: str
    result: Result
    figures: Mapping[str, Any] = field(default_factory=dict)
    detail: str = ""

    def line(self) -> str:
        """The check in one line."""
        figures = ", ".join(f"{name} {_formatted(value)}" for name, value in self.figures.items())
        parts = [f"{self.result:<8}{self.name}", figures, self.detail]
        return ": ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """All checks of a promise, with the seed that repeats them."""

    promise: str
    seed: int
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing failed and something was run."""
        results = [check.result for check in self.checks]
        return "FAIL" not in results and "PASS" in results

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "promise": self.promise,
            "seed": self.seed,
            "passed": self.passed,
            "checks": [
                {"name": c.name, "result": c.result, **c.figures, "detail": c.detail}
                for c in self.checks
            ],
        }


def check_of(name: str, wrong: Mapping[str, int], **figures: Any) -> Check:
    """A check that passes when every count in ``wrong`` is zero and something was acknowledged."""
    vacuous = not figures.get("acknowledged", 1)
    failed = vacuous or any(wrong.values())
    return Check(
        name=name,
        result="FAIL" if failed else "PASS",
        figures={**figures, **wrong},
        detail="nothing was acknowledged, so nothing is shown; ask for more" if vacuous else "",
    )


def _formatted(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)
