"""The result of importing another tool's file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Imported:
    """Settings for ``turnout.yaml``, and a line for each thing that they do not cover."""

    settings: dict[str, Any] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def note_unread(self, where: str, found: Mapping[str, Any], read: Iterable[str]) -> None:
        """Names the settings in the file that are not read."""
        unread = sorted(set(found) - set(read))
        if unread:
            self.left_out.append(f"{where}: {', '.join(unread)} not carried over")
