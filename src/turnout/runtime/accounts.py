"""Keys and budgets, as gateway and commands use them, kept in the recorder's ledger.

Invariant: a key's secret is returned once, when it is made. Methods that read or write the store
block.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from turnout.catalog import Catalog
from turnout.core import Budget, Caller, ConfigError, InvalidRequest, NotFound, Standing
from turnout.core.nearest import did_you_mean
from turnout.ledger import Directory, Ledger, Recorder, standings
from turnout.ledger.directory import budget_removal, budget_update, stored_budgets
from turnout.ledger.keys import Key, key_creation, key_revocation, lineage_of, new_key, stored_keys
from turnout.ledger.rotation import USUAL_OVERLAP_S, key_renaming, key_rotation


class Accounts:
    """The keys and budgets in a recorder's ledger; without a ledger there are none.

    They may be for models of ``catalog``, by the models' own names but not by ``aliases``, which
    may be given to other models.
    """

    def __init__(self, recorder: Recorder, catalog: Catalog, aliases: Mapping[str, str]) -> None:
        self._catalog = catalog
        self._aliases = aliases
        self._ledger = recorder if isinstance(recorder, Ledger) else None

    @property
    def _directory(self) -> Directory | None:
        return None if self._ledger is None else self._ledger.directory

    @property
    def has_keys(self) -> bool:
        """Whether a key was ever made here."""
        directory = self._directory
        return directory is not None and directory.has_keys

    @property
    def has_ledger(self) -> bool:
        """Whether there is a ledger to keep keys and budgets in."""
        return self._ledger is not None

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """All budgets, configured and stored."""
        return () if self._directory is None else self._directory.budgets

    @property
    def unused_budgets(self) -> list[str]:
        """The ids of budgets for models that are not configured."""
        known = {None, *(d.configured_name for d in self._catalog.deployments.values())}
        return [b.id for b in self.budgets if b.per == "model" and b.name not in known]

    def caller(self, digest: bytes) -> Caller | None:
        """Whose key has this hash; does not block. Raises LedgerError if that cannot be known."""
        if self._directory is None:
            return None
        return self._directory.caller(digest, time.monotonic(), _now_ms())

    def open(self) -> None:
        """Open the ledger and read keys and budgets. Raises RouterError."""
        if self._ledger is not None:
            self._ledger.start()
            self.refresh()

    def refresh(self) -> None:
        """Read what other processes have changed. Raises RouterError."""
        if self._directory is not None:
            self._directory.refresh(time.monotonic())

    def read(self) -> None:
        """As ``refresh``; a ledger that is not there yet is made. Raises RouterError."""
        try:
            self.refresh()
        except ConfigError:
            self.open()

    def keys(self) -> list[Key]:
        """All keys, revoked ones included."""
        return stored_keys(self._required_ledger().store)

    def make_key(
        self,
        *,
        name: str,
        team: str | None = None,
        parent: str | None = None,
        admin: bool = False,
        models: Iterable[str] | None = None,
        expires_ms: int | None = None,
        budgets: Iterable[Budget] = (),
    ) -> tuple[str, Key]:
        """A new secret, and the key as stored, with these budgets. Raises RouterError."""
        ledger = self._required_ledger()
        if parent is not None and parent not in {key.id for key in self.keys()}:
            raise InvalidRequest(f"parent {parent!r} is not a key", field="parent")
        models, budgets = None if models is None else tuple(models), tuple(budgets)
        for model in models or ():
            self._models(model, "models")
        if len({(budget.window, budget.unit) for budget in budgets}) < len(budgets):
            raise InvalidRequest(
                "budgets has two for the same window and unit; keep one", field="budgets"
            )
        secret, key = new_key(
            name=name, team=team, parent=parent, admin=admin, models=models,
            expires_ms=expires_ms, now_ms=_now_ms(),
        )  # fmt: skip
        own = (budget_update(replace(budget, name=key.id), _now_ms()) for budget in budgets)
        ledger.change(key_creation(key), *own)
        self.refresh()
        return secret, key

    def rotate(
        self, id_: str, *, overlap_s: float = USUAL_OVERLAP_S, within: str | None = None
    ) -> tuple[str, Key]:
        """A new secret for a key, and the key; the old secret works for ``overlap_s`` more seconds.

        With ``within``, only that key and its children may be rotated. Raises InvalidRequest.
        """
        key, every = self._key(id_)
        if within is not None and within not in {one.id for one in lineage_of(key, every) or ()}:
            raise InvalidRequest(
                f"{id_!r} is not your own key or a child of it; use the admin token", field="id"
            )
        secret, change = key_rotation(key, overlap_s, _now_ms())
        self._required_ledger().change(change)
        self.refresh()
        return secret, self._key(id_)[0]

    def rename(self, id_: str, name: str) -> Key:
        """Give a key another name. Raises InvalidRequest."""
        self._key(id_)
        self._required_ledger().change(key_renaming(id_, name))
        self.refresh()
        return self._key(id_)[0]

    def revoke(self, id_: str) -> None:
        """End a key and its children. Raises NotFound."""
        self._key(id_)
        self._required_ledger().change(key_revocation(id_, _now_ms()))
        self.refresh()

    def set_budget(self, budget: Budget) -> Budget:
        """Set a budget; it replaces one for the same subject, window and unit.

        Returns it as it is kept, with a model's id replaced by its name. Raises InvalidRequest for
        an unknown model or key.
        """
        if budget.per == "model" and budget.name is not None:
            budget = replace(budget, name=self._one_model(budget.name, "name"))
        if budget.per == "key" and budget.name not in (None, *(key.id for key in self.keys())):
            raise InvalidRequest(f"{budget.name!r} is not a key; list shows them", field="name")
        self._required_ledger().change(budget_update(budget, _now_ms()))
        self.refresh()
        return budget

    def remove_budget(self, id_: str) -> None:
        """Remove a stored budget. Raises NotFound for any other, a configured one included."""
        if id_ not in {budget.id for budget in stored_budgets(self._required_ledger().store)}:
            raise NotFound(
                f"{id_!r} is not a budget that was set by command; list shows them", field="id"
            )
        self._required_ledger().change(budget_removal(id_))
        self.refresh()

    def standings(self) -> list[Standing]:
        """What is spent and held of every budget now."""
        return standings(self._required_ledger().store, self.budgets, _now_ms())

    def _key(self, id_: str) -> tuple[Key, dict[str, Key]]:
        """The key with this id, and all keys by id. Raises NotFound."""
        every = {key.id: key for key in self.keys()}
        if id_ not in every:
            raise NotFound(f"{id_!r} is not a key; list shows them", field="id")
        return every[id_], every

    def _one_model(self, given: str, field: str) -> str:
        """The name of the one model with this name or id. Raises InvalidRequest."""
        matches = self._models(given, field)
        if given in matches or len(matches) == 1:
            return given if given in matches else matches.pop()
        names = ", ".join(sorted(matches))
        raise InvalidRequest(f"{field}: {given!r} is the id of {names}; use a name", field=field)

    def _models(self, given: str, field: str) -> set[str]:
        """The names of the models that have this name or id. Raises InvalidRequest for none."""
        known = self._catalog.deployments.values()
        matches = {d.configured_name for d in known if given in d.names}
        if not matches and given in self._aliases:
            other = f"is another name for {self._aliases[given]!r}; a model's own name is needed"
            raise InvalidRequest(f"{field}: {given!r} {other}", field=field)
        if not matches:
            fix = did_you_mean(given, self._catalog.names)
            raise InvalidRequest(f"{field}: {given!r} is not configured; {fix}", field=field)
        return matches

    def _required_ledger(self) -> Ledger:
        if self._ledger is None:
            raise ConfigError("keys and budgets need a ledger; remove 'ledger: off'")
        return self._ledger


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
