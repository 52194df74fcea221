"""``turnout prove streams|storm|restart``, and ``turnout soak``: the gateway's promises."""

from typing import Annotated

import typer

from turnout.cli.extras import require_extra
from turnout.cli.options import JsonOption
from turnout.cli.proofs import SeedOption, Test, percent, prove
from turnout.proving import sabotages

_BREAK = "Break the gateway; this must then fail."


def streams(
    *,
    requests: Annotated[int, typer.Option(min=1, help="Requests through all faults.")] = 10_000,
    sabotage: Annotated[sabotages.Streams | None, typer.Option(help=_BREAK)] = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """Faulty providers cause no silent truncation and no 5xx.

    Nor do they make the gateway send an answer to another caller.
    """
    from turnout.proving.streams import streams as streamed

    _prove(
        "streams",
        lambda trial: streamed(requests, trial, sabotage=sabotage),
        seed=seed,
        json=json,
    )


def storm(
    *,
    fail: Annotated[str, typer.Option(help="Share of calls that fail, in percent.")] = "100%",
    rate: Annotated[float, typer.Option(min=5, help="Requests a second.")] = 25.0,
    # Less is too little data: the time before the outage, half a phase, must hold a whole window,
    # and the few retries that are free must be less than a tenth of an outage's requests.
    phase_s: Annotated[float, typer.Option(min=8, help="Seconds of each phase.")] = 12.0,
    sabotage: Annotated[sabotages.Storm | None, typer.Option(help=_BREAK)] = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """A failing provider gets no extra calls.

    It gets none before the time it named, and not all at once afterwards.
    """
    from turnout.proving.storm import Load, storms

    share, load = percent(fail, least=0.01), Load(rate=rate, phase_s=phase_s)
    _prove(
        "storm",
        lambda trial: storms(share, load, trial, sabotage=sabotage),
        seed=seed,
        json=json,
    )


def restart(
    *,
    times: Annotated[int, typer.Option(min=0, help="Restarts, every other one of all.")] = 50,
    streams: Annotated[int, typer.Option(min=1, help="Streams in progress at any time.")] = 200,
    configs: Annotated[int, typer.Option(min=0, help="Broken configurations.")] = 200,
    sabotage: Annotated[sabotages.Restart | None, typer.Option(help=_BREAK)] = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """Restarts cut no stream; a broken configuration is not used."""
    from turnout.proving.broken_files import broken_configurations
    from turnout.proving.restart import restarts

    abrupt, with_valid_file = sabotage == "abrupt", sabotage == "taken"
    tests: list[tuple[int, Test]] = [
        (times, lambda trial: restarts(times, streams, trial, abrupt=abrupt)),
        (
            configs,
            lambda trial: broken_configurations(configs, trial, with_valid_file=with_valid_file),
        ),
    ]
    _prove("restart", *(test for wanted, test in tests if wanted), seed=seed, json=json)


def soak(
    *,
    requests: Annotated[
        int, typer.Option(min=80_000, help="Requests, a tenth of them aborted.")
    ] = 100_000,
    sabotage: Annotated[sabotages.Soak | None, typer.Option(help=_BREAK)] = None,
    seed: SeedOption = None,
    json: JsonOption = False,
) -> None:
    """Prove that many requests leave no memory or sockets behind.

    A tenth of them are aborted; tasks are counted, too.
    """
    from turnout.proving.soak import soak as soaked

    leak = sabotage == "leak"
    _prove("soak", lambda trial: soaked(requests, trial, leak=leak), seed=seed, json=json)


def _prove(promise: str, *tests: Test, seed: int | None, json: bool) -> None:
    require_extra("serve", "this proof")
    prove(promise, *tests, seed=seed, json=json)
