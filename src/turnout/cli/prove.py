"""``turnout prove``: break things on purpose, print what was lost, exit 1 when anything was."""

from typing import Annotated

import typer

from turnout.cli.options import JsonOption, group, refuse_given
from turnout.cli.proofs import SeedOption, Test, percent, prove
from turnout.cli.prove_gateway import restart, storm, streams
from turnout.proving import Check, sabotages
from turnout.proving.report import Trial

app = group("prove", "Prove a promise: PASS or FAIL, figures and the seed.")


@app.command()
def ledger(
    *,
    kills: Annotated[int, typer.Option(min=0, help="Processes to kill with -9.")] = 100,
    powerloss: Annotated[int, typer.Option(min=0, help="Power losses to simulate.")] = 200,
    points: Annotated[int, typer.Option(min=0, help="System calls to kill at.")] = 24,
    enospc: Annotated[bool, typer.Option(help="Fill a small disk.")] = True,
    eio: Annotated[bool, typer.Option(help="Let fsync fail.")] = True,
    sabotage: Annotated[
        sabotages.Ledger | None, typer.Option(help="Break the ledger; this must then fail.")
    ] = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """No acknowledged charge is lost or doubled.

    Neither kills nor power losses, full disks or failing fsyncs can do that.
    """
    from turnout.ledger import Ledger
    from turnout.proving.io_faults import fsync_errors, full_disk, syscall_kills
    from turnout.proving.kills import kills as killed
    from turnout.proving.power import HoldsLater, power_losses

    synchronous = "OFF" if sabotage == "durability" else "FULL"
    kind = HoldsLater if sabotage == "hold" else Ledger

    def lose(trial: Trial, *, failing: bool) -> Check:
        return power_losses(
            powerloss, trial, synchronous=synchronous, kind=kind, failing_syncs=failing
        )

    tests: list[tuple[bool, Test]] = [
        (kills > 0, lambda trial: killed(kills, trial)),
        (powerloss > 0, lambda trial: lose(trial, failing=False)),
        (powerloss > 0 and eio, lambda trial: lose(trial, failing=True)),
        (points > 0, lambda trial: syscall_kills(points, trial)),
        (eio, fsync_errors),
        (enospc, full_disk),
    ]
    prove("ledger", *(test for wanted, test in tests if wanted), seed=seed, json=json)


@app.command()
def billing(
    *,
    requests: Annotated[int, typer.Option(min=1, help="Requests through all faults.")] = 1000,
    sabotage: Annotated[
        sabotages.Billing | None, typer.Option(help="Break the account; this must then fail.")
    ] = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """The ledger equals the provider's invoice, through every fault."""
    from turnout.proving.billing import billing as billed

    prove(
        "billing",
        lambda trial: billed(requests, trial, sabotage=sabotage),
        seed=seed,
        json=json,
    )


@app.command()
def budget(
    context: typer.Context,
    *,
    procs: Annotated[int, typer.Option(min=1, max=64, help="Processes that spend.")] = 8,
    concurrency: Annotated[
        int, typer.Option(min=1, help="Requests at a time, of all processes.")
    ] = 1000,
    kill: Annotated[bool, typer.Option(help="Kill processes with -9 meanwhile.")] = True,
    kills: Annotated[int, typer.Option(min=1, help="How many.")] = 12,
    postgres: Annotated[
        str | None, typer.Option(help="A postgresql:// URL of an empty database; else SQLite.")
    ] = None,
    sabotage: Annotated[
        sabotages.Budget | None, typer.Option(help="Break the budgets; this must then fail.")
    ] = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """A budget is a wall: no overspending, no false refusal.

    Spending processes are killed meanwhile, and leave no holds behind.
    """
    from turnout.proving.budget import budget as budgeted

    if not kill:
        refuse_given(context, "kills", because="--no-kill kills none; leave one out")

    prove(
        "budget",
        lambda trial: budgeted(
            procs, concurrency, trial, kills=kills if kill else 0, place=postgres,
            sabotage=sabotage,
        ),
        seed=seed, json=json,
    )  # fmt: skip


@app.command()
def isolation(
    *,
    tenants: Annotated[
        int, typer.Option(min=2, max=64, help="Tenants that share the gateway.")
    ] = 8,
    requests: Annotated[int, typer.Option(min=1, help="Requests of all tenants.")] = 10_000,
    cancel: Annotated[str, typer.Option(help="Share that leaves early, as 30%.")] = "30%",
    sabotage: Annotated[
        sabotages.Isolation | None, typer.Option(help="Break the gateway; this must then fail.")
    ] = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """Tenants never see each other's replies or ids.

    Some callers leave early.
    """
    from turnout.cli.prove_isolation import isolation as isolated

    share = percent(cancel)
    prove(
        "isolation",
        lambda trial: isolated(tenants, requests, share, trial, sabotage=sabotage),
        seed=seed,
        json=json,
    )


for command in (streams, storm, restart):
    app.command()(command)
