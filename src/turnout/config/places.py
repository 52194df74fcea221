"""Where the settings of a configuration come from: its file, and each setting's line."""

from dataclasses import dataclass, field

from turnout.config.yaml_text import Lines

# Other names that a file may use for a section.
_OTHER_NAMES = {"intents": ("intents", "MODEL_MAP", "routes")}


@dataclass(frozen=True, slots=True)
class Places:
    """A file's name and its settings' lines, which are not part of the settings.

    So all places are equal: equal settings from two files must be equal.
    """

    name: str = field(default="configuration", compare=False)
    lines: Lines = field(default_factory=dict, compare=False)

    def at(self, *path: str) -> str:
        """``file: line N: a.b:`` for the closest place that is in the file."""
        found = self._line(path)
        line = "" if found is None else f" line {found}:"
        return f"{self.name}:{line} {'.'.join(path) or 'configuration'}:"

    def has_line(self, path: tuple[str, ...]) -> bool:
        """Whether the setting itself is in the file, or there is no file to look in."""
        return not self.lines or path in self.lines

    def _line(self, path: tuple[str, ...]) -> int | None:
        for end in range(len(path), 0, -1):
            for first in _OTHER_NAMES.get(path[0], path[:1]):
                if (first, *path[1:end]) in self.lines:
                    return self.lines[first, *path[1:end]]
        return None
