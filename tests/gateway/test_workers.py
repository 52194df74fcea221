"""Several workers behind one supervisor: they start, reload and are replaced without a gap."""

import http.client
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from tests.gateway.world import chat
from tests.runtime.world import PATIENT, config
from tests.waiting import soon
from turnout.core.stop_process import stop_process
from turnout.gateway.metrics import _clear_dead_workers, _reserve_space
from turnout.ledger import store_at
from turnout.testing import FaultyUpstream, Served, serving
from turnout.testing.serving import _wait_for_port


def test_a_reload_while_workers_start_ends_none() -> None:
    """SIGHUP before a worker can reload waits for it: both serve, and each takes it in."""
    with _two_workers() as served:
        for _ in range(10):
            served.process.send_signal(signal.SIGHUP)
            time.sleep(0.05)
        first = _workers(served)
        assert soon(lambda: served.log().count("configuration reloaded") >= 2)
        assert len(_workers(served)) == 2
        assert first <= _workers(served)
        assert served.process.poll() is None


def test_a_worker_that_dies_is_replaced() -> None:
    """Killed, it comes back; the other one goes on."""
    with _two_workers() as served:
        assert soon(lambda: len(_workers(served)) == 2)
        gone = min(_workers(served))
        os.kill(gone, signal.SIGKILL)
        assert soon(lambda: len(_workers(served)) == 2 and gone not in _workers(served))


def test_a_worker_that_starts_beside_others_lets_nobody_wait_for_what_it_loads() -> None:
    """It has all of it before its first request; the first of all serves as soon as it can."""
    with _two_workers() as served:
        # A process has its parent's words until it has its own.
        assert soon(lambda: list(map(_is_warm, sorted(_workers(served)))) == [False, True])
        first, second = _workers(served)
        served.process.send_signal(signal.SIGUSR2)
        assert soon(lambda: len(_workers(served)) == 2 and not {first, second} & _workers(served))
        assert soon(lambda: all(map(_is_warm, _workers(served))))


def _is_warm(pid: int) -> bool:
    """Whether it was told to load all first."""
    return b"--warm" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")


def test_what_a_killed_worker_had_under_way_is_not_counted_for_ever() -> None:
    """The gauges are those of who lives; the counters keep what the dead ones had counted."""
    with _two_workers(models={"fast": "f-hang"}) as served:
        assert soon(lambda: len(_workers(served)) == 2)
        links = [_open_request(served.port, chat(model="fast")) for _ in range(4)]
        assert soon(lambda: _metric(served.port, "turnout_requests_in_flight") == 5)
        for pid in _workers(served):
            os.kill(pid, signal.SIGKILL)
        for link in links:
            link.close()
        assert soon(lambda: len(_workers(served)) == 2)
        assert _metric(served.port, "turnout_requests_in_flight") == 1
        assert _metric(served.port, 'turnout_requests_total{path="/healthz",status="200"}') == 1


def test_workers_that_die_at_their_start_are_replaced_later_each_time() -> None:
    """Killed again and again as they start, they do not stop the gateway: the other one serves."""
    with _two_workers() as served:
        assert soon(lambda: len(_workers(served)) == 2)
        stays = min(_workers(served))
        for deaths in (1, 2, 3):
            assert soon(lambda: len(_workers(served)) == 2)
            (young,) = _workers(served) - {stays}
            os.kill(young, signal.SIGKILL)
            assert soon(lambda n=deaths: served.log().count("a worker ended") == n)
        assert soon(lambda: len(_workers(served)) == 2)
        assert stays in _workers(served)
        waits = [orjson.loads(line)["in_s"] for line in _lines(served, "a worker ended")]
        assert waits == [0.5, 1.0, 2.0]


def test_a_worker_that_cannot_start_again_leaves_the_others_serving() -> None:
    """The file is broken by then: it is said, tried again, and it comes back when it is mended."""
    with _two_workers() as served:
        assert soon(lambda: len(_workers(served)) == 2)
        good = served.config_path.read_text()
        served.config_path.write_text(good + "polcy: {}\n")
        os.kill(max(_workers(served)), signal.SIGKILL)
        assert soon(lambda: "exit code 2" in served.log())
        assert "unknown key 'polcy'" in served.log()
        assert _answered(served.port)
        served.config_path.write_text(good)
        assert soon(lambda: len(_workers(served)) == 2)
        time.sleep(3)
        assert len(_workers(served)) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_configuration_that_was_found_and_is_gone_is_missed(tmp_path: Path, workers: int) -> None:
    """The folder's turnout.yaml, which no option names: nobody goes on by the shipped recipe."""
    with FaultyUpstream() as upstream:
        settings = yaml.safe_dump(config(upstream, ledger="off", aliases={"ours": "fast"}))
        with _serving_in(tmp_path, settings, workers) as served:
            if workers == 2:
                _wait_for_both(served)
            served.config_path.unlink()
            served.process.send_signal(signal.SIGHUP)
            assert soon(lambda: served.log().count("no such file") == workers)
            if workers == 2:
                os.kill(max(_workers(served)), signal.SIGKILL)
                assert soon(lambda: "exit code 2" in served.log())
                served.config_path.write_text(settings)
                _wait_for_both(served)
            assert {_status(served.port, chat(model="ours")) for _ in range(10)} == {200}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reload_while_the_gateway_starts_does_not_end_it(tmp_path: Path, workers: int) -> None:
    """SIGHUP waits until it can be heeded; systemd would take the end for a clean one."""
    with FaultyUpstream() as upstream:
        settings = yaml.safe_dump(config(upstream, ledger="off"))
        with _serving_in(tmp_path, settings, workers, reload_first=True) as served:
            assert soon(lambda: _status(served.port, chat(model="fast")) == 200)


@contextmanager
def _serving_in(
    folder: Path, settings: str, workers: int, *, reload_first: bool = False
) -> Iterator[Served]:
    """A gateway that finds its configuration where it starts, and may be told to reload first."""
    path, log = folder / "turnout.yaml", folder / "log"
    path.write_text(settings)
    command = [sys.executable, "-m", "turnout", "serve", "--port", "0", "--workers", str(workers)]
    environ = {k: v for k, v in os.environ.items() if k != "TURNOUT_CONFIG"}
    environ |= {"TURNOUT_STATE_DIR": str(folder), "XDG_DATA_HOME": str(folder)}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environ, cwd=folder)
    try:
        if reload_first:
            assert soon(lambda: "made an admin token" in log.read_text())
            process.send_signal(signal.SIGHUP)
        port = _wait_for_port(process, log)
        yield Served(port=port, process=process, config_path=path, log_path=log)
    finally:
        stop_process(process, 20)


@pytest.mark.parametrize("first", ["one.db", "off"])
def test_workers_do_not_leave_the_ledger_that_is_written_for_them(
    tmp_path: Path, first: str
) -> None:
    """Another file would be read beside the one that is written: the change needs a restart.

    Without a first one, each worker would keep the others from the new one.
    """
    with _two_workers(str(tmp_path / first) if first != "off" else first) as served:
        _wait_for_both(served)
        settings = yaml.safe_load(served.config_path.read_text())
        other = {**settings, "ledger": str(tmp_path / "two.db")}
        served.config_path.write_text(yaml.safe_dump(other))
        assert soon(lambda: served.log().count("is written for all workers") == 2)
        assert _answered(served.port)
        before = _workers(served)
        served.process.send_signal(signal.SIGUSR2)
        assert soon(lambda: "turnout: ledger: " in served.log())
        assert soon(lambda: _workers(served) == before)
    assert not (tmp_path / "two.db").exists()


def test_a_rate_limit_that_one_worker_met_is_known_to_all() -> None:
    """Nobody asks before the time that the provider named: nor those that start later."""
    with FaultyUpstream() as upstream:
        settings = config(upstream, timeouts=PATIENT, models={"fast": "f-429-ra60"})
        with serving(settings, options=["--workers", "2"]) as served:
            _wait_for_both(served)
            assert _status(served.port, chat(model="fast")) == 429
            time.sleep(2.0)  # it takes milliseconds, but not where the cores have much else to do
            for step in ("at once", "reloaded", "replaced"):
                if step == "reloaded":
                    _wait_for_both(served)
                if step == "replaced":
                    before = _workers(served)
                    served.process.send_signal(signal.SIGUSR2)
                    assert soon(lambda old=before: not old & _workers(served))
                    _wait_for_both(served)
                assert {_status(served.port, chat(model="fast")) for _ in range(30)} == {429}
                assert len(upstream.entries("f-429-ra60")) == 1, step
            assert _status(served.port, chat(model="coder")) == 200


def test_no_worker_outlives_its_parent() -> None:
    """Killed, the parent cannot tell them: they see it, and leave the address to the next one."""
    with _two_workers() as served:
        assert soon(lambda: len(_workers(served)) == 2)
        workers = _workers(served)
        served.process.kill()
        served.process.wait()
        assert soon(lambda: not any(_alive(pid) for pid in workers))


def test_the_door_for_a_successor_is_gone_with_its_gateway() -> None:
    """On ports that the system chooses, one file a start would pile up in the state folder."""
    with FaultyUpstream() as upstream, serving(config(upstream)) as served:
        door = served.config_path.with_name(f"serve-{served.port}.sock")
        assert door.is_socket()
        served.process.terminate()
        assert served.process.wait(30) == 0
        assert not door.exists()


def test_folders_of_figures_are_gone_with_their_gateway(tmp_path: Path) -> None:
    """Told to stop, it leaves nothing; one that was killed leaves what the next start removes."""

    def folders() -> set[Path]:
        return {path for path in tmp_path.iterdir() if "turnout-metrics" in path.name}

    with _two_workers(temporary=tmp_path) as running:
        used = folders()
        with _two_workers(temporary=tmp_path) as killed:
            killed.process.kill()
            killed.process.wait()
        left = folders() - used
        assert len(left) == 1
        with _two_workers(temporary=tmp_path):
            assert used < folders()
            assert not left & folders()
        assert folders() == used
        assert running.process.poll() is None
    assert not folders()


def test_metrics_need_no_space_that_a_full_disk_could_lack(tmp_path: Path) -> None:
    """All of a worker's files is allocated; a dead one's keep their counts, without the rest."""
    with _two_workers(temporary=tmp_path) as served:
        _wait_for_both(served)
        assert _answered(served.port)
        (folder,) = tmp_path.glob("turnout-metrics-*")
        files = [file.stat() for file in folder.glob("*.db")]
        assert len(files) == 8
        assert all(file.st_blocks * 512 >= file.st_size > 0 for file in files)
        assert soon(lambda: _counted(served.port) > 0)  # another worker may answer, a moment later
        before = _counted(served.port)
        dead = min(_workers(served))
        os.kill(dead, signal.SIGKILL)
        assert soon(lambda: dead not in _workers(served))
        _wait_for_both(served)
        assert soon(lambda: _counted(served.port) >= before)
        left = {file.name.split("_")[0]: file.stat() for file in folder.glob(f"*_{dead}.db")}
        assert left.keys() == {"counter", "gauge", "histogram"}
        assert all(file.st_size < 64 * 1024 for file in left.values())


def test_the_number_of_a_dead_worker_may_be_that_of_another_users_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which may not be signalled: what the dead one had under way is dropped all the same."""

    def refused(*_: object) -> None:
        raise PermissionError

    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    _reserve_space()
    monkeypatch.setattr("os.kill", refused)
    _clear_dead_workers()
    assert not list(tmp_path.glob("gauge_live*"))
    assert {file.stat().st_size for file in tmp_path.glob("counter*")} == {8}


def test_a_starting_worker_shows_others_no_half_made_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They read the files of all workers when they are asked for metrics."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    sizes: set[int] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            with suppress(FileNotFoundError):
                sizes.update(file.stat().st_size for file in tmp_path.glob("*.db"))

    watching = threading.Thread(target=watch)
    watching.start()
    for _ in range(100):
        _reserve_space()
        for file in tmp_path.iterdir():
            file.unlink()
    ended.set()
    watching.join()
    assert len(sizes) == 1


def _counted(port: int) -> float:
    """The requests to /readyz in the metrics of all workers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        lines = answer.read().decode().splitlines()
    counts = [line for line in lines if line.startswith('turnout_requests_total{path="/readyz"')]
    return sum(float(line.rpartition(" ")[2]) for line in counts)


@contextmanager
def _two_workers(
    ledger: str = "off", temporary: Path | None = None, **more: Any
) -> Iterator[Served]:
    environ = {"TMPDIR": str(temporary)} if temporary else {}
    with FaultyUpstream() as upstream:
        settings = config(upstream, ledger=ledger, timeouts=PATIENT, **more)
        with serving(settings, options=["--workers", "2"], environ=environ) as served:
            yield served


def _wait_for_both(served: Served) -> None:
    """Waits until they do: only who serves answers a SIGHUP, so that it is asked again."""
    assert soon(lambda: len(_workers(served)) == 2)
    assert soon(lambda: _count_reloads(served) == 2)


def _count_reloads(served: Served) -> int:
    """How many workers say within two seconds that they took the configuration again."""
    before = len(_lines(served, "configuration reloaded"))
    served.process.send_signal(signal.SIGHUP)
    until = time.monotonic() + 2
    said = 0
    while said < 2 and time.monotonic() < until:
        time.sleep(0.05)
        said = len(_lines(served, "configuration reloaded")) - before
    return said


def _answered(port: int) -> bool:
    """Whether a request is."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    link.request("GET", "/readyz")
    status = link.getresponse().status
    link.close()
    return status == 200


def _open_request(port: int, body: dict[str, Any]) -> http.client.HTTPConnection:
    """A connection whose request is under way."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    link.request("POST", "/v1/chat/completions", orjson.dumps(body))
    return link


def _status(port: int, body: dict[str, Any]) -> int:
    """What a request on a connection of its own is answered with."""
    link = _open_request(port, body)
    status = link.getresponse().status
    link.close()
    return status


def _metric(port: int, name: str) -> float:
    """One of the metrics, of all workers."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    link.request("GET", "/metrics")
    lines = link.getresponse().read().decode().splitlines()
    link.close()
    return next((float(line.split()[-1]) for line in lines if line.startswith(f"{name} ")), 0.0)


def _alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False


def _lines(served: Served, event: str) -> list[str]:
    return [line for line in served.log().splitlines() if event in line]


def _workers(served: Served) -> set[int]:
    pid = served.process.pid
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return {int(child) for child in text.split()}


def test_a_new_key_is_known_to_every_worker_at_once(tmp_path: Path) -> None:
    """Used the moment it is made, at whichever worker: the first key too, and it is charged."""
    with _two_workers(str(tmp_path / "l.db")) as served:
        _wait_for_both(served)
        admin = (served.config_path.parent / "admin-token").read_text().strip()
        for _ in range(20):
            made = _call(served.port, "/v1/keys", admin, {"name": "test"})
            _call(served.port, "/v1/chat/completions", made["key"], chat(max_tokens=20))
    rows = store_at(tmp_path / "l.db").fetch("SELECT count(DISTINCT tenant) FROM requests")
    assert rows == [(20,)]


def _call(port: int, path: str, key: str, body: dict[str, Any]) -> Any:
    """The answer, which must be one, on a connection of its own."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    link.request("POST", path, orjson.dumps(body), {"authorization": f"Bearer {key}"})
    answer = link.getresponse()
    found = orjson.loads(answer.read())
    link.close()
    assert answer.status == 200, found
    return found
