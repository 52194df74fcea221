"""A ledger file's one gateway, and commands that write through it."""

import os
from pathlib import Path

import pytest

from tests.ledger.money import CATALOG, decided, make_request
from turnout.core import Bound, ConfigError
from turnout.ledger import Ledger
from turnout.ledger.file_owner import FileOwner, owner_address
from turnout.ledger.keys import key_creation, new_key, stored_keys
from turnout.ledger.lock import acquire, write_holder_lines
from turnout.ledger.sqlite import SqliteStore


def test_a_file_has_one_gateway(tmp_path: Path) -> None:
    """A second one is told which; when it has ended, another may begin."""
    place = str(tmp_path / "new" / "ledger.db")
    with FileOwner(place):
        with pytest.raises(ConfigError, match=rf"has a gateway already \(pid {os.getpid()}\)"):
            FileOwner(place).__enter__()
    with (
        FileOwner(place),
        FileOwner(str(tmp_path / "other.db")),
        FileOwner("postgresql://x"),
        FileOwner(None),
    ):
        pass


def test_a_file_has_one_gateway_and_one_writer_by_whatever_name(tmp_path: Path) -> None:
    """A link to it is no second file."""
    place, link = str(tmp_path / "ledger.db"), tmp_path / "link.db"
    link.symlink_to(place)
    with FileOwner(place), Ledger(SqliteStore(place), catalog=CATALOG):
        with pytest.raises(ConfigError, match="has a gateway already"):
            FileOwner(str(link)).__enter__()
        with pytest.raises(ConfigError, match="is being written by another process"):
            SqliteStore(link, lock_wait_s=0).open()


def _is_free(place: str) -> bool:
    try:
        with FileOwner(place):
            return True
    except ConfigError:
        return False


def test_a_file_that_is_left_is_kept_until_its_ledger_is_closed(tmp_path: Path) -> None:
    """It may be settled there until then; who comes back has it again."""
    one, two = (str(tmp_path / name) for name in ("one.db", "two.db"))
    first, second, third, fourth = (
        Ledger(SqliteStore(place), catalog=CATALOG) for place in (one, two, one, two)
    )
    with FileOwner(one) as owner:
        for ledger in (first, second, third):
            owner.follow(ledger)
        first.close()
        assert not _is_free(one)  # which is the third one's now
        assert not _is_free(two)
        second.close()
        assert _is_free(two)
        owner.follow(fourth)
        assert not _is_free(one)
        third.close()
        assert _is_free(one)
        assert not _is_free(two)
        owner.follow(first)
    assert _is_free(one)
    assert _is_free(two)


async def test_a_command_writes_while_a_gateway_keeps_the_file(tmp_path: Path) -> None:
    """Though a request is under way in it, and nobody waits for its end."""
    place = str(tmp_path / "ledger.db")
    assert owner_address(place) is None
    with FileOwner(place) as owner, Ledger(SqliteStore(place), catalog=CATALOG) as ledger:
        assert owner_address(place) is None  # it does not take anything yet
        address = owner.share(ledger)
        assert Path(address[0]).parent.stat().st_mode & 0o077 == 0
        request = make_request(1)
        await ledger.decided(request, decided(request), {"large": Bound(1, 1)})
        assert owner_address(place) == address
        _, key = new_key(name="ci", now_ms=1)
        with Ledger(SqliteStore(place), catalog=CATALOG, shared=owner_address(place)) as command:
            command.change(key_creation(key))
        assert [stored.id for stored in stored_keys(ledger.store)] == [key.id]
    assert owner_address(place) is None
    assert not Path(address[0]).parent.exists()


def test_what_a_killed_gateway_left_is_removed(tmp_path: Path) -> None:
    """Its socket's folder, and nothing that is none."""
    place = str(tmp_path / "ledger.db")
    for name, stays in (("turnout-ledger-1", False), ("other", True)):
        folder = tmp_path / name
        folder.mkdir()
        lock = acquire(f"{place}.gateway")
        write_holder_lines(lock, "pid 1", str(folder / "socket"), "00")
        os.close(lock)
        assert owner_address(place) is None
        with FileOwner(place):
            assert folder.exists() is stays
