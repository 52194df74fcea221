"""Why a deployment cannot take a request: a kind for programs, words for people.

Invariant: programs read the kind; only people read the words.
"""

from typing import Literal

from msgspec import Struct

from turnout.core.fault import FaultKind

ExclusionKind = Literal[
    "not_allowed",
    "denied",
    "window_exceeded",
    "answer_too_short",
    "incapable",
    "over_cost_limit",
    "over_budget",
    "too_slow",
    "no_key",
    "cooling_down",
    "at_limit",
    "limit_spent",
    "unstated",  # read from records that have no kind
]


class Exclusion(Struct, frozen=True):
    """One reason; ``str()`` gives ``detail``, its words.

    ``after`` is the failure after which the deployment cools down. ``wait_s`` is the number of
    seconds until it comes back by itself; None when somebody has to act first.
    """

    kind: ExclusionKind
    detail: str
    after: FaultKind | None = None
    wait_s: float | None = None

    def __str__(self) -> str:
        return self.detail

    @property
    def is_temporary(self) -> bool:
        """Whether the deployment could take the request at another time."""
        return self.kind in ("cooling_down", "at_limit")

    @property
    def comes_last(self) -> bool:
        """Whether the deployment comes after all others instead of being left out."""
        return self.kind in ("limit_spent", "answer_too_short")
