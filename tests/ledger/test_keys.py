"""What a key may do: never more than each key that it descends from."""

from dataclasses import replace

import pytest

from turnout.core import Caller, InvalidRequest
from turnout.core.caller import key_hash
from turnout.ledger.keys import Key, callers_of, new_key
from turnout.ledger.rotation import MOST_OVERLAP_S, key_rotation


def key(name: str, parent: str | None = None, **more: object) -> Key:
    """A key called and hashed by its name, without any limit."""
    made = Key(
        id=name,
        hash=key_hash(name).hex(),
        name=name,
        team=None,
        parent=parent,
        admin=True,
        models=None,
        created_ms=0,
        expires_ms=None,
        revoked_ms=None,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def caller(of: str, *keys: Key) -> Caller | None:
    """Who calls with a secret, where these keys are stored."""
    return callers_of(keys).get(key_hash(of))


def test_a_child_may_do_what_its_whole_line_may() -> None:
    """The models that all have, an administrator's rights if all have them, the first end."""
    line = (
        key("child", "parent", models=("a", "b"), expires_ms=30),
        key("parent", "root", team="red", expires_ms=20),
        key("root", team="blue", models=("b", "c"), admin=False, expires_ms=40),
    )
    found = caller("child", *line)
    assert found == Caller(
        key="child",
        names=("child", "parent", "root"),
        team="red",
        keys=("child", "parent", "root"),
        models=frozenset("b"),
        admin=False,
        expires_ms=20,
    )
    root = caller("root", *line)
    assert root is not None
    assert (root.team, root.models, root.admin, root.expires_ms) == (
        "blue",
        frozenset("bc"),
        False,
        40,
    )
    alone = caller("root", key("root"))
    assert alone is not None
    assert (alone.models, alone.admin, alone.expires_ms, alone.team) == (None, True, None, None)
    nothing = caller("child", key("child", "root", models=("a",)), key("root", models=()))
    assert nothing is not None
    assert nothing.models == frozenset()


def test_keys_share_a_model_under_all_its_names() -> None:
    """One key has it by its name, the other by its id; what only one of them has is not shared."""
    deployments = [{"fast", "acme/fast"}, {"coder", "acme/x"}, {"coder#2", "coder", "other/y"}]

    def shared(of: set[str], above: set[str]) -> frozenset[str] | None:
        line = key("child", "root", models=tuple(of)), key("root", models=tuple(above))
        found = callers_of(line, deployments)[key_hash("child")]
        return found.models

    assert shared({"fast"}, {"acme/fast"}) == {"fast", "acme/fast"}
    assert shared({"coder"}, {"acme/x", "fast"}) == {"acme/x"}
    assert shared({"coder"}, {"acme/x", "other/y"}) == {"coder", "acme/x", "other/y"}
    assert shared({"fast", "gone"}, {"coder", "gone"}) == {"gone"}
    assert shared({"fast"}, {"coder"}) == frozenset()


@pytest.mark.parametrize(
    "keys",
    [
        (key("k", revoked_ms=1),),
        (key("k", "parent"), key("parent", revoked_ms=1)),
        (key("k", "parent"), key("parent", "root"), key("root", revoked_ms=1)),
        (key("k", "gone"),),
        (key("k", "k"),),
        (key("k", "other"), key("other", "k")),
        (key("k", hash=key_hash("another").hex()),),
    ],
    ids=["revoked", "parent", "root", "orphan", "own parent", "circle", "other secret"],
)
def test_a_key_of_a_broken_line_lets_nobody_in(keys: tuple[Key, ...]) -> None:
    """Where one of its ancestors is revoked or missing, or there is no first one."""
    assert caller("k", *keys) is None


@pytest.mark.parametrize(("expires", "until"), [(None, 50), (60, 50), (40, 40)])
def test_an_old_secret_ends_with_its_overlap_or_its_key(expires: int | None, until: int) -> None:
    """Whichever is first; the new one has its key's own end."""
    rotated = key("new", old_hash=key_hash("old").hex(), old_until_ms=50, expires_ms=expires)
    new, old = caller("new", rotated), caller("old", rotated)
    assert new is not None
    assert old == replace(new, expires_ms=until)
    assert new.expires_ms == expires
    assert caller("old", replace(rotated, revoked_ms=1)) is None
    assert caller("old", replace(rotated, old_until_ms=None)) is None


@pytest.mark.parametrize("bad", ["", "a b", "a\n", "\u00e9", "x" * 65, "a;b"])
def test_a_name_is_plain_text_in_a_log_and_a_path(bad: str) -> None:
    """Of a key and of its team."""
    for fields in ({"name": bad}, {"name": "k", "team": bad}):
        with pytest.raises(InvalidRequest, match="use 1 to 64 letters"):
            new_key(now_ms=0, **fields)
    _, made = new_key(now_ms=0, name="Az09_.:/@+-", team="x" * 64)
    assert (made.name, made.team) == ("Az09_.:/@+-", "x" * 64)


def test_a_key_lives_until_a_time_that_is_to_come() -> None:
    """To the millisecond, and no further than the calendar goes."""
    last = 253_402_300_799_999
    for expires in (None, 11, last):
        secret, made = new_key(name="k", expires_ms=expires, now_ms=10)
        assert (made.expires_ms, made.hash) == (expires, key_hash(secret).hex())
        assert not made.admin
        assert secret not in repr(made)
        assert made.hash not in repr(made)
    for expires, word in ((10, "past"), (last + 1, "9999")):
        with pytest.raises(InvalidRequest, match=word):
            new_key(name="k", expires_ms=expires, now_ms=10)


def test_a_rotation_overlaps_for_as_long_as_it_may() -> None:
    """Not at all and thirty days are both fine; a key that has ended gets no new secret."""
    for overlap_s in (0, 1.5, MOST_OVERLAP_S):
        secret, change = key_rotation(key("k", expires_ms=11), overlap_s, 10)
        assert list(change.row) == [10 + overlap_s * 1000, key_hash(secret).hex(), "k"]
    for overlap_s in (-0.1, MOST_OVERLAP_S + 1, float("nan")):
        with pytest.raises(InvalidRequest, match="use 0 to"):
            key_rotation(key("k"), overlap_s, 10)
    for ended in (key("k", expires_ms=10), key("k", revoked_ms=1)):
        with pytest.raises(InvalidRequest, match="has ended"):
            key_rotation(ended, 0, 10)
