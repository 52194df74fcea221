"""Quickly made values against the dataclasses they are."""

from collections.abc import Mapping
from dataclasses import FrozenInstanceError, dataclass, field, replace

import pytest

from turnout.core.quick import quick


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """As dataclasses make it."""

    a: int
    b: str = "x"
    c: Mapping[str, int] = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True, kw_only=True)
class Quick:
    """The same, quickly."""

    a: int
    b: str = "x"
    c: Mapping[str, int] = field(default_factory=dict)


def test_it_is_the_same_value() -> None:
    """Fields, defaults, equality, hash, words, copies."""
    made, plain = Quick(a=1), Plain(a=1)
    assert type(made) is Quick
    assert repr(made) == repr(plain).replace("Plain", "Quick")
    assert made == Quick(a=1, b="x", c={})
    assert made != Quick(a=2)
    assert replace(made, b="y") == Quick(a=1, b="y")
    assert Quick(a=1).c is not made.c
    assert not hasattr(made, "__dict__")


def test_it_stays_frozen_and_takes_keywords_only() -> None:
    """As its own class says."""
    made = Quick(a=1)
    with pytest.raises(FrozenInstanceError):
        made.a = 2  # type: ignore[misc]
    with pytest.raises(TypeError, match="positional"):
        Quick(1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="'a'"):
        Quick()  # type: ignore[call-arg]


def test_a_class_that_inherits_is_refused() -> None:
    """The twin would lack its parent's slots."""
    with pytest.raises(TypeError, match="inherits"):
        quick(dataclass(frozen=True, slots=True)(type("Child", (Plain,), {})))
