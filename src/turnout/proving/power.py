"""Power loss: a ledger is cut off at random writes, and must still have all its promises."""

import asyncio
import copy
import random
from dataclasses import dataclass
from pathlib import Path

from turnout.ledger import Ledger
from turnout.ledger.entries import Decided, Hold
from turnout.ledger.open_request import OpenRequest
from turnout.ledger.sqlite import SqliteStore
from turnout.proving.crash_vfs import CrashDisk, Image
from turnout.proving.report import Check, Trial, check_of
from turnout.proving.workload import RULES, Acknowledged, Tally, request_ids, work

CUTS_A_RUN = 10
REQUESTS_A_RUN = 60
_FAILING_SYNCS = 0.03


@dataclass(slots=True)
class _Cut:
    """The disk at one moment, and the promises made by then."""

    images: dict[str, Image]
    acknowledged: Acknowledged


def power_losses(
    count: int,
    trial: Trial,
    *,
    synchronous: str = "FULL",
    kind: type[Ledger] = Ledger,
    failing_syncs: bool = False,
) -> Check:
    """``count`` power losses; with ``failing_syncs`` after some syncs have failed, too."""
    tally, done, run = Tally(), 0, 0
    while done < count:
        rng = random.Random(f"{trial.seed} {run}")
        cuts = _run(trial.folder, run, rng, synchronous, kind, failing_syncs=failing_syncs)
        for cut in cuts[: count - done]:
            _recover(trial.folder, cut, rng, tally)
        done += len(cuts[: count - done])
        run += 1
        trial.progress(done)
    name = "power loss after failed fsyncs" if failing_syncs else "power loss"
    return check_of(
        name,
        tally.wrong(),
        fix="raise --powerloss",
        losses=done,
        **tally.shown(),
        refused=tally.refused,
    )


class HoldsLater(Ledger):
    """A ledger that promises its holds before they are written, as a sabotage."""

    async def _write_hold(self, entry: OpenRequest, change: Hold | Decided) -> None:
        """At once."""
        entry.pending = self._inbox.submit(change)


def _run(
    folder: Path,
    run: int,
    rng: random.Random,
    synchronous: str,
    kind: type[Ledger],
    *,
    failing_syncs: bool,
) -> list[_Cut]:
    """One ledger from its creation on, photographed at random steps."""
    images: dict[str, Image] = {}
    acknowledged: Acknowledged = []
    cuts: list[_Cut] = []
    steps = 0
    cut_steps = set(rng.sample(range(60, 900), CUTS_A_RUN * 3))

    def on_step(step: str) -> bool:
        nonlocal steps
        steps += 1
        if steps in cut_steps and len(cuts) < CUTS_A_RUN:
            cuts.append(_Cut(images=copy.deepcopy(images), acknowledged=list(acknowledged)))
        return failing_syncs and step == "sync" and steps > 40 and rng.random() < _FAILING_SYNCS

    disk = CrashDisk(f"run{run}", images, on_step)
    store = SqliteStore(folder / "ledger.db", vfs=f"run{run}", synchronous=synchronous)
    ledger = kind(store, catalog=RULES.catalog)
    try:
        coroutine = work(
            ledger,
            request_ids(run, REQUESTS_A_RUN),
            run,
            lambda *entry: acknowledged.append(entry),
        )
        asyncio.run(coroutine)
    finally:
        ledger.close()
        disk.unregister()
    cuts.append(_Cut(images=copy.deepcopy(images), acknowledged=list(acknowledged)))
    return cuts


def _recover(folder: Path, cut: _Cut, rng: random.Random, tally: Tally) -> None:
    """Start again after the loss, and look."""
    images = {path: image.after_power_loss(rng) for path, image in cut.images.items()}
    name = f"after{rng.getrandbits(48)}"
    disk = CrashDisk(name, images, lambda _: False)
    store = SqliteStore(folder / "ledger.db", vfs=name)
    ledger = Ledger(store, catalog=RULES.catalog)
    try:
        ledger.start()
        found = store.fetch("PRAGMA integrity_check(3)")
        tally.unsound += found != [("ok",)]
        tally.add(store, cut.acknowledged, verify_all=True)
    except Exception as error:  # noqa: BLE001 -- whatever it is, the ledger did not come back
        tally.unsound += 1
        tally.lost += sum(kind == "settled" for kind, _, _ in cut.acknowledged)
        tally.acknowledged += sum(kind == "settled" for kind, _, _ in cut.acknowledged)
        tally.findings.append(str(error))
    finally:
        ledger.close()
        disk.unregister()
