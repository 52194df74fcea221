"""``turnout keys`` and ``turnout budgets``: who may call, and how much of it."""

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from turnout.cli.options import ConfigOption, JsonOption, group, router
from turnout.cli.show import err, out, print_json, print_table
from turnout.core import Budget, ConfigError, InvalidRequest
from turnout.ledger import NoLedgerYet
from turnout.ledger.keys import Key, lineage_of
from turnout.ledger.rotation import USUAL_OVERLAP_S
from turnout.runtime.budgets import read_budget

keys = group("keys", "Keys of callers: make, list, rename, rotate, revoke.")
budgets = group("budgets", "Set, list and remove budgets and rate limits.")
_USUAL_ROWS = 100  # a table of thousands takes seconds, and nobody reads it
IdArgument = Annotated[str, typer.Argument(metavar="ID", help="The id, as list shows it.")]


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    *,
    team: Annotated[str | None, typer.Option(help="The team that it counts for.")] = None,
    parent: Annotated[str | None, typer.Option(help="The parent key of this one.")] = None,
    models: Annotated[
        str | None, typer.Option(help="Models that it may use, separated by commas.")
    ] = None,
    admin: Annotated[bool, typer.Option(help="Let it manage keys and budgets.")] = False,
    expires_days: Annotated[
        float | None, typer.Option(min=0, max=36_500, help="Days until it expires.")
    ] = None,
    usd_a_day: Annotated[str | None, typer.Option(help="Dollars a day.")] = None,
    rpm: Annotated[int | None, typer.Option(min=0, help="Requests a minute.")] = None,
    tpm: Annotated[int | None, typer.Option(min=0, help="Tokens a minute.")] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Make a key. It is shown now and never again."""
    limits = [
        ("day", "usd", usd_a_day),
        ("minute", "requests", rpm),
        ("minute", "tokens", tpm),
    ]
    key_budgets = [
        _budget({"per": "key", "window": window, unit: amount})
        for window, unit, amount in limits
        if amount is not None
    ]
    allowed_models = None if models is None else [m.strip() for m in models.split(",") if m.strip()]
    if allowed_models == []:
        raise ConfigError("--models is empty; name models, or leave it out for all of them")
    now_s = datetime.now(UTC).timestamp()
    with router(config) as r:
        secret, key = r.accounts.make_key(
            name=name,
            team=team,
            parent=parent,
            admin=admin,
            models=allowed_models,
            expires_ms=None if expires_days is None else int((now_s + expires_days * 86400) * 1000),
            budgets=key_budgets,
        )
    _show_secret(key, secret, "keep it now, it is stored as a hash only", json=json)


@keys.command("list")
def list_keys(
    *,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            "-n",
            min=1,
            help=f"How many, the newest; by default {_USUAL_ROWS}, and all with --json.",
        ),
    ] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Keys without their secrets, oldest first."""
    with router(config) as r:
        every = r.accounts.keys()
    if json:
        print_json([key.as_dict() for key in every[-(limit or len(every)) :]])
        return
    listed = every[-(limit or _USUAL_ROWS) :]
    if not listed:
        err.print("no keys; make one with: turnout keys create NAME", style="dim")
        return
    by_id, now_ms = {key.id: key for key in every}, time.time_ns() // 1_000_000
    print_table(
        "keys",
        ["id", "name", "team", "parent", "models", "role", "expires", "state"],
        [
            [
                key.id, key.name, key.team or "", key.parent or "",
                "all" if key.models is None else ", ".join(key.models),
                "admin" if key.admin else "", _time(key.expires_ms),
                _state(key, by_id, now_ms),
            ]
            for key in listed
        ],
    )  # fmt: skip
    if len(listed) < len(every):
        note = f"the newest {len(listed)} of {len(every):,} keys; --limit shows more, --json all"
        err.print(note, style="dim")


@keys.command()
def rotate(
    id_: IdArgument,
    *,
    overlap_hours: Annotated[
        float, typer.Option(min=0, max=720, help="Hours for which the old secret stays valid.")
    ] = USUAL_OVERLAP_S / 3600,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Give a key a new secret; its id, budgets and team stay. It is shown now and never again."""
    with router(config) as r:
        secret, key = r.accounts.rotate(id_, overlap_s=overlap_hours * 3600)
    note = f"the old secret is valid until {_time(key.old_until_ms)} UTC"
    _show_secret(key, secret, note, json=json)


@keys.command()
def rename(
    id_: IdArgument,
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    *,
    config: ConfigOption = None,
) -> None:
    """Give a key another name."""
    with router(config) as r:
        key = r.accounts.rename(id_, name)
    out.print(f"{key.id} is called {key.name}")


@keys.command()
def revoke(id_: IdArgument, *, config: ConfigOption = None) -> None:
    """End a key and its children. Every worker knows within a second."""
    with router(config) as r:
        r.accounts.revoke(id_)
    out.print(f"{id_} is revoked")


@budgets.command("set")
def set_budget(
    per: Annotated[str, typer.Argument(help="all, team, key, session or model.")],
    window: Annotated[str, typer.Argument(help="minute, hour, day, week, month or total (UTC).")],
    *,
    name: Annotated[str | None, typer.Option(help="Only this one; by default each one.")] = None,
    usd: Annotated[str | None, typer.Option(help="Dollars.")] = None,
    requests: Annotated[int | None, typer.Option(help="Requests.")] = None,
    tokens: Annotated[int | None, typer.Option(help="Tokens.")] = None,
    when_full: Annotated[
        str, typer.Option(help="refuse, or cheaper to use cheaper models first.")
    ] = "refuse",
    config: ConfigOption = None,
) -> None:
    """Set a budget. It replaces one for the same, in the same window and unit."""
    budget = _budget(
        {
            "per": per, "window": window, "name": name, "usd": usd, "requests": requests,
            "tokens": tokens, "when_full": when_full,
        }
    )  # fmt: skip
    with router(config) as r:
        budget = r.accounts.set_budget(budget)
    out.print(f"{budget.id} is set")


@budgets.command("list")
def list_budgets(*, config: ConfigOption = None, json: JsonOption = False) -> None:
    """Where every budget stands."""
    with router(config) as r:
        with suppress(NoLedgerYet):
            r.accounts.refresh()
        standings = r.accounts.standings()
        unused = {b.id for b in r.accounts.budgets} - {s.budget.id for s in standings}
        lost = set(r.accounts.unused_budgets)
    if json:
        print_json([standing.as_dict() for standing in standings])
        return
    if not standings and not unused:
        err.print("no budgets; set one with: turnout budgets set, or in turnout.yaml", style="dim")
    for standing in standings:
        note = "; no such model is configured" if standing.budget.id in lost else ""
        out.print(f"{standing.line()}; id {standing.budget.id}{note}")
    for id_ in sorted(unused):
        out.print(f"{id_}: not used yet")


@budgets.command()
def remove(id_: IdArgument, *, config: ConfigOption = None) -> None:
    """Remove a budget that was set by command or API."""
    with router(config) as r:
        r.accounts.remove_budget(id_)
    out.print(f"{id_} is removed")


def _show_secret(key: Key, secret: str, note: str, *, json: bool) -> None:
    """The secret alone on standard output, for scripts."""
    if json:
        print_json({**key.as_dict(), "key": secret})
    else:
        out.print(secret)
        err.print(f"{key.id}: {note}")


def _budget(fields: dict[str, Any]) -> Budget:
    try:
        return read_budget(fields)
    except InvalidRequest as error:
        raise ConfigError(str(error)) from error


def _state(key: Key, by_id: Mapping[str, Key], now_ms: int) -> str:
    """Whether it opens anything now: what ends an ancestor ends it too."""
    for ancestor in lineage_of(key, by_id) or ():
        suffix = "" if ancestor is key else f" with {ancestor.id}"
        if ancestor.revoked_ms is not None:
            return f"revoked {_time(ancestor.revoked_ms)}{suffix}"
        if ancestor.expires_ms is not None and ancestor.expires_ms <= now_ms:
            return f"expired{suffix}"
    return "valid"


def _time(at_ms: int | None) -> str:
    return "" if at_ms is None else f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M}"
