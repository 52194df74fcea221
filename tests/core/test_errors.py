"""One error tree, drawn in its docstring."""

from collections.abc import Iterator

from turnout.core import errors
from turnout.core.errors import RouterError


def tree(kind: type[RouterError]) -> Iterator[type[RouterError]]:
    """The class and everything below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


def test_the_drawing_shows_every_error() -> None:
    """An error that is added without being drawn fails here."""
    for kind in tree(RouterError):
        assert kind.__name__ in (errors.__doc__ or "")
