"""Options with several values, given after one flag or after a flag each."""

from collections.abc import Iterator, Sequence
from typing import Any

from typer.core import TyperCommand


class ListOptionsCommand(TyperCommand):
    """A command whose lists may be written as ``--table A B``.

    If it takes arguments, it could not be told where a list ends: it needs a flag for each value.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parses ``args`` as click does, with the flag before each value of a list."""
        if all(param.param_type_name == "option" for param in self.params):
            list_options = [param for param in self.params if getattr(param, "multiple", False)]
            list_flags = {flag for option in list_options for flag in option.opts}
            args = list(_with_repeated_flags(args, list_flags))
        return super().parse_args(ctx, args)


def _with_repeated_flags(args: Sequence[str], list_flags: set[str]) -> Iterator[str]:
    flag, has_value = "", True
    for word in args:
        if word.startswith("-") and word != "-":
            flag, _, value = word.partition("=")
            has_value = bool(value)
        elif flag in list_flags and has_value:
            yield flag
        else:
            has_value = True
        yield word
