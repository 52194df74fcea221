"""Options with several values, given after one flag or after a flag each."""

from collections.abc import Iterator, Sequence
from typing import Any

from typer.core import TyperCommand


class Several(TyperCommand):
    """A command whose lists may be written as ``--table A B``.

    If it takes arguments, it could not be told where a list ends: it needs a flag for each value.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses ``args`` as click does, with the flag before each value of a list."""
        if all(one.param_type_name == "option" for one in self.params):
            many = [one for one in self.params if getattr(one, "multiple", False)]
            args = list(_repeated(args, {flag for one in many for flag in one.opts}))
        return super().parse_args(ctx, args)


def _repeated(args: Sequence[str], lists: set[str]) -> Iterator[str]:
    flag, given = "", True
    for word in args:
        if word.startswith("-") and word != "-":
            flag, _, value = word.partition("=")
            given = bool(value)
        elif flag in lists and given:
            yield flag
        else:
            given = True
        yield word
