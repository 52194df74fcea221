"""What another tool's file becomes here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Imported:
    """Settings for ``turnout.yaml``, and a line for all that they do not hold."""

    settings: dict[str, Any] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)

    def leave(self, where: str, said: Mapping[str, Any], read: Iterable[str]) -> None:
        """Names what was said beyond what is read."""
        unread = sorted(set(said) - set(read))
        if unread:
            self.left.append(f"{where}: {', '.join(unread)} not carried over")
