"""Keys and budgets over HTTP, for administrators; each caller sees its own budgets.

Invariant: ``access`` alone decides who may use these paths. A key made with an administrator's key
is that key's child, so that it cannot have more rights.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from turnout.core import Budget, Caller, InvalidRequest, Standing, json_object
from turnout.gateway.arrival import Arrival, ReadJson, Routes, send_json
from turnout.gateway.body import Refused
from turnout.gateway.dialects import ApiDialect
from turnout.gateway.exchange import Exchange
from turnout.gateway.idempotency import ROTATE
from turnout.gateway.problem import bad_request
from turnout.runtime import Accounts, read_budget

_KEYS, _KEY, _BUDGETS = "/v1/keys", "/v1/keys/{id}", "/v1/budgets"
_TYPE_NAMES = {bool: "true or false", list: "a list", int: "a whole number", str: "text"}
_FIELDS: Mapping[str, type] = {
    "name": str, "team": str, "parent": str, "admin": bool, "models": list, "expires_in_s": int,
    "budgets": list,
}  # fmt: skip


class Admin:
    """The handlers; ``accounts`` returns those of the engine that serves now."""

    def __init__(self, accounts: Callable[[], Accounts], read: ReadJson) -> None:
        self._accounts = accounts
        self._read = read

    def routes(self, dialect: ApiDialect) -> Routes:
        """The paths and what answers them."""
        return {
            ("GET", _KEYS): (dialect, self._keys),
            ("POST", _KEYS): (dialect, self._make),
            ("DELETE", _KEY): (dialect, self._revoke),
            ("PATCH", _KEY): (dialect, self._rename),
            ("POST", f"{_KEY}{ROTATE}"): (dialect, self._rotate),
            ("GET", _BUDGETS): (dialect, self._standings),
            ("POST", _BUDGETS): (dialect, self._set),
            ("DELETE", f"{_BUDGETS}/{{id}}"): (dialect, self._remove),
        }

    def _required_accounts(self) -> Accounts:
        accounts = self._accounts()
        if not accounts.has_ledger:
            message = "keys and budgets need a ledger; remove 'ledger: off'"
            raise Refused(bad_request(message, status=409, code="no_ledger"))
        return accounts

    async def _keys(self, arrival: Arrival, out: Exchange) -> None:
        del arrival
        found = await asyncio.to_thread(self._required_accounts().keys)
        await send_json(out, {"object": "list", "data": [key.as_dict() for key in found]})

    async def _make(self, arrival: Arrival, out: Exchange) -> None:
        fields = _fields(await self._read(arrival))
        parent = fields.get("parent")
        if arrival.caller.key != "admin":
            parent = _child_of(arrival.caller, parent)
        secret, key = await asyncio.to_thread(
            self._required_accounts().make_key,
            name=fields.get("name", ""),
            team=fields.get("team"),
            parent=parent,
            admin=fields.get("admin", False),
            models=fields.get("models"),
            expires_ms=_expiry(fields.get("expires_in_s")),
            budgets=[_own_budget(one) for one in fields.get("budgets", ())],
        )
        await send_json(out, {**key.as_dict(), "key": secret})

    async def _rotate(self, arrival: Arrival, out: Exchange) -> None:
        fields = _fields(await self._read(arrival), {"overlap_s": int})
        # A key that this one did not make may have more rights.
        within = None if arrival.caller.key == "admin" else arrival.caller.key
        rotate = partial(self._required_accounts().rotate, arrival.ident, within=within, **fields)
        secret, key = await asyncio.to_thread(rotate)
        await send_json(out, {**key.as_dict(), "key": secret})

    async def _rename(self, arrival: Arrival, out: Exchange) -> None:
        fields = _fields(await self._read(arrival), {"name": str})
        key = await asyncio.to_thread(
            self._required_accounts().rename, arrival.ident, fields.get("name", "")
        )
        await send_json(out, key.as_dict())

    async def _revoke(self, arrival: Arrival, out: Exchange) -> None:
        await asyncio.to_thread(self._required_accounts().revoke, arrival.ident)
        await send_json(out, {"id": arrival.ident, "revoked": True})

    async def _standings(self, arrival: Arrival, out: Exchange) -> None:
        found = await asyncio.to_thread(self._required_accounts().standings)
        visible = [s for s in found if arrival.caller.admin or may_see(s, arrival.caller)]
        await send_json(
            out, {"object": "list", "data": [standing.as_dict() for standing in visible]}
        )

    async def _set(self, arrival: Arrival, out: Exchange) -> None:
        fields = read_budget(await self._read(arrival))
        budget = await asyncio.to_thread(self._required_accounts().set_budget, fields)
        await send_json(out, {"id": budget.id})

    async def _remove(self, arrival: Arrival, out: Exchange) -> None:
        await asyncio.to_thread(self._required_accounts().remove_budget, arrival.ident)
        await send_json(out, {"id": arrival.ident, "removed": True})


def may_see(standing: Standing, caller: Caller) -> bool:
    """Whether the caller may see a budget's standing."""
    match standing.budget.per:
        case "key":
            return standing.subject in caller.keys
        case "team":
            return standing.subject == caller.team
        case "session":
            return standing.subject.startswith(f"{caller.tenant}/")
        case _:
            return False


def _fields(payload: object, known: Mapping[str, type] = _FIELDS) -> dict[str, Any]:
    """The fields of a body that are set, each checked for its type. Raises InvalidRequest."""
    fields = json_object(payload)
    for name, value in fields.items():
        if name not in known:
            use = ", ".join(sorted(known))
            raise InvalidRequest(f"{str(name)[:70]!r} is not a field here; use {use}")
        kind = known[name]
        if value is not None and (
            not isinstance(value, kind) or (kind is int and isinstance(value, bool))
        ):
            raise InvalidRequest(f"{name} is {value!r:.70}; use {_TYPE_NAMES[kind]}", field=name)
    models, budgets = fields.get("models") or (), fields.get("budgets") or ()
    if not all(isinstance(model, str) for model in models):
        raise InvalidRequest("models must be a list of names", field="models")
    if not all(isinstance(budget, Mapping) for budget in budgets):
        raise InvalidRequest("budgets must be a list of objects", field="budgets")
    return {name: value for name, value in fields.items() if value is not None}


def _own_budget(fields: Mapping[str, Any]) -> Budget:
    """A budget of the key that is made. Raises InvalidRequest for one of anybody else."""
    budget = read_budget({"per": "key", **fields})
    if (budget.per, budget.name) != ("key", None):
        raise InvalidRequest(
            f"budgets has one for {budget.id!r}; those of a key are per key and have no name, "
            f"others are set at {_BUDGETS}",
            field="budgets",
        )
    return budget


def _child_of(caller: Caller, parent: str | None) -> str:
    if parent not in (None, caller.key):
        raise InvalidRequest(f"parent must be {caller.key!r}, your own key", field="parent")
    return caller.key


def _expiry(seconds: int | None) -> int | None:
    return None if seconds is None else time.time_ns() // 1_000_000 + seconds * 1000
