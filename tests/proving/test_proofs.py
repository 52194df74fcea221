"""A proof passes on the ledger as it is, and fails on each way of breaking it."""

import os
import random
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.run import run
from tests.waiting import soon
from turnout.cli.prove_isolation import Sabotage, isolation
from turnout.ledger import Ledger
from turnout.proving import Check, Proof
from turnout.proving.billing import billing
from turnout.proving.budget import budget
from turnout.proving.crash_vfs import Image
from turnout.proving.io_faults import fsync_errors, full_disk, syscall_kills
from turnout.proving.kills import kills
from turnout.proving.power import HoldsLater, power_losses
from turnout.proving.report import Trial, check_of


def test_power_losses_lose_nothing(trial: Trial) -> None:
    """Thirty losses, some after failed synchronisations: all that was promised is there."""
    assert power_losses(20, trial).result == "PASS"
    assert power_losses(10, replace(trial, seed=2), failing_syncs=True).result == "PASS"


def test_without_durability_power_losses_lose_charges(trial: Trial) -> None:
    """synchronous=OFF must turn the proof red, or the proof proves nothing."""
    assert power_losses(10, trial, synchronous="OFF").result == "FAIL"


def test_a_hold_promised_too_early_is_found(trial: Trial) -> None:
    """A hold acknowledged before it is written must turn the proof red."""
    assert power_losses(10, trial, kind=HoldsLater).result == "FAIL"


def test_kills_lose_nothing(trial: Trial) -> None:
    """Ten processes killed on one file: every promise is kept by the next one."""
    assert kills(10, trial).result == "PASS"


@pytest.mark.slow
@pytest.mark.apt
def test_kills_at_system_calls_lose_nothing(trial: Trial) -> None:
    """Killed while entering a write or a sync; says NOT RUN without strace."""
    assert syscall_kills(12, trial).result in {"PASS", "NOT RUN"}


@pytest.mark.apt
def test_failing_fsyncs_stop_promises_only(trial: Trial) -> None:
    """Eleven failing syncs: refusals meanwhile, recovery after, nothing lost."""
    assert fsync_errors(trial).result in {"PASS", "NOT RUN"}


@pytest.mark.slow
def test_a_full_disk_loses_nothing(trial: Trial) -> None:
    """A process that meets a full disk refuses, then goes on; says NOT RUN without mount."""
    assert full_disk(trial).result in {"PASS", "NOT RUN"}


def test_the_ledger_equals_the_invoice(trial: Trial) -> None:
    """Through every fault of the upstream, nothing differs where usage was sent."""
    check = billing(120, trial)
    assert check.result == "PASS", check.line()
    assert check.figures["exact"] > 0
    assert check.figures["estimated"] > 0


@pytest.mark.parametrize("sabotage", ["extra-calls", "wrong-price"])
def test_a_broken_account_differs_from_the_invoice(sabotage: str, trial: Trial) -> None:
    """Leaving out extra calls, or billing the model asked for, must turn the proof red."""
    assert billing(120, trial, sabotage=sabotage).result == "FAIL"  # type: ignore[arg-type]


def test_a_proof_that_ran_nothing_has_not_passed() -> None:
    """NOT RUN alone is no PASS, too little data is none either, and one FAIL is enough."""
    idle = Check(name="a", result="NOT RUN")
    good, bad = Check(name="b", result="PASS"), Check(name="c", result="FAIL")
    few = Check(name="d", result="UNPROVEN")
    for checks, result in (
        ((), "UNPROVEN"),
        ((idle,), "UNPROVEN"),
        ((idle, good), "PASS"),
        ((few, good), "UNPROVEN"),
        ((good, bad, few), "FAIL"),
    ):
        assert Proof(promise="p", seed=1, checks=checks).result == result


def test_a_check_in_which_nothing_happened_says_so() -> None:
    """Nothing wrong among nothing is no PASS and no FAIL, and the line says what to do."""
    fix = "raise --powerloss"
    check = check_of("power loss", {"lost": 0}, fix=fix, losses=3, acknowledged=0)
    assert check.result == "UNPROVEN"
    assert check.line().endswith("nothing was acknowledged; raise --powerloss")
    assert check_of("power loss", {"lost": 1}, fix=fix, losses=3, acknowledged=0).result == "FAIL"
    assert check_of("power loss", {"lost": 0}, fix=fix, losses=3, acknowledged=9).result == "PASS"


def test_too_little_data_is_no_failure(capfd: pytest.CaptureFixture[str]) -> None:
    """One power loss, before anything is promised, exits with 2 and names the option to raise."""
    only = ["--kills", "0", "--points", "0", "--no-eio", "--no-enospc", "--seed", "1"]
    few = run(capfd, "prove", "ledger", "--powerloss", "1", *only, "--json")
    assert few.code == 2
    assert (few.json["result"], few.json["passed"]) == ("UNPROVEN", False)
    assert few.json["checks"][0]["detail"].endswith("raise --powerloss")
    assert run(capfd, "prove", "ledger", "--powerloss", "9", *only).code == 0


@pytest.mark.parametrize("option", [["--phase-s", "2"], ["--rate", "1"]])
def test_an_outage_too_short_to_judge_is_not_tried(
    capfd: pytest.CaptureFixture[str], option: list[str]
) -> None:
    """A storm in which a healthy gateway could fail for lack of requests is refused beforehand."""
    refused = run(capfd, "prove", "storm", *option)
    assert refused.code == 2
    assert option[0] in refused.err


def test_the_crash_disk_keeps_what_was_synchronised() -> None:
    """A synchronised write survives every loss; an unsynchronised one does not survive all."""
    survived = 0
    for seed in range(50):
        image = Image()
        image.write((0, b"durable"))
        image.sync()
        image.write((7, b" maybe"))
        left = image.after_power_loss(random.Random(seed))  # noqa: S311 -- seeded
        assert bytes(left.live[:7]) == b"durable"
        survived += bytes(left.live) == b"durable maybe"
    assert 0 < survived < 50


def test_the_sabotaged_ledger_is_the_only_difference(trial: Trial) -> None:
    """The same seed passes with the ledger itself."""
    assert power_losses(10, trial, kind=Ledger).result == "PASS"


@pytest.mark.slow
def test_a_budget_is_a_wall_and_the_proof_can_tell(tmp_path: Path) -> None:
    """It passes as it is, and fails where nothing is held or nothing is freed."""
    for sabotage, result in ((None, "PASS"), ("no-hold", "FAIL"), ("no-release", "FAIL")):
        folder = tmp_path / str(sabotage)
        folder.mkdir()
        check = budget(4, 200, Trial(1, folder), kills=4, sabotage=sabotage)
        assert check.result == result


@pytest.mark.parametrize(
    ("sabotage", "result"),
    [(None, "PASS"), ("foreign-ids", "FAIL"), ("crossed-replies", "FAIL")],
)
def test_tenants_do_not_meet_and_the_proof_can_tell(
    trial: Trial, sabotage: Sabotage | None, result: str
) -> None:
    """It passes as it is, and fails where ids are open or replies are mixed up."""
    assert isolation(4, 200, 0.3, trial, sabotage=sabotage).result == result


@pytest.mark.parametrize(
    ("proof", "processes"), [(("budget", "--procs", "3"), 5), (("ledger", "--kills", "50"), 2)]
)
def test_an_interrupted_proof_leaves_no_process(proof: tuple[str, ...], processes: int) -> None:
    """Those that spend and write end with the one that watches them."""
    command = [sys.executable, "-m", "turnout", "prove", *proof]
    running = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        assert soon(lambda: len(_group(running.pid)) >= processes)
        while running.poll() is None:
            running.send_signal(signal.SIGINT)  # one that meets a fork or a query is lost
            with suppress(subprocess.TimeoutExpired):
                running.wait(2)
        # A shell calls both 130; one more may meet an interpreter that is ending, if that is slow.
        assert running.returncode in (130, -signal.SIGINT)
        assert soon(lambda: not _group(running.pid))
    finally:
        for process in _group(running.pid):
            os.kill(process, signal.SIGKILL)
        running.wait()


def _group(leader: int) -> list[int]:
    """The processes of a group that run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended meanwhile
            state, _, group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            found += [int(folder.name)] if int(group) == leader and state != "Z" else []
    return found
