"""The gateway's proofs pass on the gateway as it is, and fail on each way of breaking it."""

from collections import Counter
from dataclasses import replace

import pytest

from turnout.proving.broken_files import broken_configurations
from turnout.proving.report import Trial
from turnout.proving.restart import restarts
from turnout.proving.soak import Sample, soak_check
from turnout.proving.storm import Load, storms
from turnout.proving.streams import streams


def test_faulty_streams_end_as_documented(trial: Trial) -> None:
    """A hundred faulty requests of all dialects, through a real process."""
    check = streams(100, trial)
    assert check.result == "PASS", check.line()
    assert check.figures["error event"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("sabotage", ["clean-end", "no-fallback"])
def test_a_gateway_that_hides_faults_is_found(sabotage: str, trial: Trial) -> None:
    """A clean end after a break, or no next model, must turn the proof red."""
    check = streams(100, trial, sabotage=sabotage)  # type: ignore[arg-type]
    assert check.result == "FAIL"
    assert check.figures["silent truncations" if sabotage == "clean-end" else "5xx"] > 0


@pytest.mark.slow
def test_an_outage_is_not_made_worse(trial: Trial) -> None:
    """Few calls while all fails, none early, no herd afterwards."""
    for check in storms(1.0, Load(rate=15, phase_s=8), trial):
        assert check.result == "PASS", check.line()


@pytest.mark.slow
def test_retries_without_a_budget_are_found(trial: Trial) -> None:
    """Without breaker and budget every outage check must turn red."""
    checks = storms(1.0, Load(rate=10, phase_s=4), trial, sabotage="no-budget")
    assert [check.result for check in checks] == ["FAIL"] * len(checks)


@pytest.mark.slow
def test_restarts_fail_nobody(trial: Trial) -> None:
    """Workers replaced one by one, then the whole gateway taken over, under streams."""
    check = restarts(2, 20, trial)
    assert check.result == "PASS", check.line()


@pytest.mark.slow
def test_killed_gateways_are_noticed(trial: Trial) -> None:
    """SIGKILL instead of a drain must turn the proof red."""
    assert restarts(1, 20, trial, abrupt=True).result == "FAIL"


@pytest.mark.slow
def test_broken_configurations_are_not_taken(trial: Trial) -> None:
    """Every kind of break keeps the old configuration; a good one slipped in is noticed."""
    check = broken_configurations(40, trial)
    assert check.result == "PASS", check.line()
    assert broken_configurations(4, trial, with_valid_file=True).result == "FAIL"


def _samples(growth: float, *, to: int = 21, tasks: int = 0, descriptors: int = 0) -> list[Sample]:
    return [
        Sample(
            requests=10_000 * n,
            rss_bytes=int(2**28 + n * growth * 2**20 / 10),
            descriptors=20 + descriptors * n,
            tasks=5 + tasks * n,
        )
        for n in range(1, to)
    ]


def test_growth_is_found() -> None:
    """A MiB more in 100,000 requests, a socket or a task in 10,000, or one bad answer is a FAIL."""
    fine = Counter({200: 9, 0: 1})
    assert soak_check(_samples(0.5), fine).result == "PASS"
    assert soak_check(_samples(1.5), fine).result == "FAIL"
    assert soak_check(_samples(0, tasks=1), fine).result == "FAIL"
    assert soak_check(_samples(0, descriptors=1), fine).result == "FAIL"
    assert soak_check(_samples(0), fine | {500: 1}).result == "FAIL"
    grown = _samples(4.0)
    warmed = [replace(s, rss_bytes=min(s.rss_bytes, grown[8].rss_bytes)) for s in grown]
    assert soak_check(warmed, fine).result == "PASS", "what has warmed up in the first half stays"
    for mib, result in ((2, "PASS"), (8, "FAIL")):
        step = [replace(s, rss_bytes=2**28 + (n > 14) * mib * 2**20) for n, s in enumerate(grown)]
        assert soak_check(step, fine).result == result, "a small step is memory that is used once"
    shrunk = [replace(s, rss_bytes=s.rss_bytes - n * 2**17) for n, s in enumerate(_samples(0))]
    assert soak_check(shrunk, fine).result == "PASS"
    for leak, result in ((0.5, "PASS"), (1.5, "FAIL")):
        by_steps = [replace(s, rss_bytes=s.rss_bytes >> 20 << 20) for s in _samples(leak, to=101)]
        assert soak_check(by_steps, fine).result == result, "a leak takes many steps"
    busy = [*_samples(0)[:-2], *(replace(s, descriptors=40) for s in _samples(0)[-2:])]
    assert soak_check(busy, fine).result == "PASS", (
        "a pool has more connections in one moment than another"
    )
