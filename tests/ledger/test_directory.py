"""The snapshot of keys lets nobody in whom the store might refuse."""

import pytest

from tests.ledger.conftest import MakeStore
from tests.ledger.money import CATALOG
from turnout.core import LedgerError
from turnout.core.caller import key_hash
from turnout.ledger import Directory, Ledger
from turnout.ledger.keys import key_creation, new_key


def test_a_snapshot_is_trusted_for_a_minute_and_its_gaps_for_a_second(
    make_store: MakeStore,
) -> None:
    """Before and after, nobody can say whether there are keys, or whose one is."""
    secret, key = new_key(name="ci", now_ms=1, expires_ms=1000)
    store = make_store()
    directory = Directory(store, lambda _: None)
    with pytest.raises(LedgerError):
        _ = directory.has_keys
    with pytest.raises(LedgerError):
        directory.caller(key_hash(secret), 0.0, 5)
    with Ledger(store, catalog=CATALOG) as ledger:
        ledger.change(key_creation(key))
        directory.refresh(10.0)
    assert directory.has_keys is True
    found = directory.caller(key_hash(secret), 70.0, 999)
    assert found is not None
    assert found.key == key.id
    with pytest.raises(LedgerError):
        directory.caller(key_hash(secret), 70.1, 999)
    assert directory.caller(key_hash(secret), 10.0, 1000) is None
    assert directory.caller(key_hash("tnk_unknown"), 11.0, 999) is None
    with pytest.raises(LedgerError):
        directory.caller(key_hash("tnk_unknown"), 11.1, 999)
