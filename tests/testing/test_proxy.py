"""The proxy spoils connections as it says, and changes no byte of what it lets through."""

import http.client
import json
import time

import pytest

from turnout.testing import FaultProxy, FaultyUpstream, Toxics


def ask(port: int, *, stream: bool = False) -> bytes:
    """A chat call's body, as far as it comes. Raises OSError or http.client's errors."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    body = {"model": "m", "stream": stream, "messages": [{"role": "user", "content": "nonce: n1"}]}
    try:
        link.request("POST", "/v1/chat/completions", json.dumps(body))
        return link.getresponse().read()
    finally:
        link.close()


@pytest.mark.parametrize(
    "toxics",
    [
        Toxics(),
        Toxics(slice_bytes=3),
        Toxics(latency_s=0.01),
        Toxics(slow_close_s=0.05),
        Toxics(cut_event=1000),
    ],
)
def test_what_is_not_cut_arrives_as_it_was_sent(toxics: Toxics) -> None:
    """Delays and splits change no byte."""
    with FaultyUpstream() as upstream, FaultProxy(upstream.port, toxics) as proxy:
        for stream in (False, True):
            through, straight = (
                _without_clock(ask(port, stream=stream)) for port in (proxy.port, upstream.port)
            )
            assert through == straight


def _without_clock(body: bytes) -> list[bytes]:
    return [part.partition(b",")[2] for part in body.split(b'"created": ')]


@pytest.mark.parametrize("cut", ["reset", "close"])
def test_a_stream_is_cut_at_its_event(cut: str) -> None:
    """Exactly so many events pass, however the bytes are split."""
    for size in (None, 1, 5):
        toxics = Toxics(cut_event=3, cut=cut, slice_bytes=size)  # type: ignore[arg-type]
        with FaultyUpstream() as upstream, FaultProxy(upstream.port, toxics) as proxy:
            with pytest.raises((http.client.IncompleteRead, ConnectionError)) as caught:
                ask(proxy.port, stream=True)
            if isinstance(caught.value, http.client.IncompleteRead):
                assert caught.value.partial.count(b"\n\n") <= 3
            assert upstream.invoice[0].status == 200


def test_limits_count_bytes() -> None:
    """Closed and reset after so many bytes of the answer."""
    with FaultyUpstream() as upstream, FaultProxy(upstream.port) as proxy:
        for toxics in (Toxics(limit_bytes=10), Toxics(reset_bytes=0), Toxics(timeout_s=0.05)):
            proxy.change(toxics)
            with pytest.raises((http.client.HTTPException, ConnectionError)):
                ask(proxy.port)


def test_it_can_be_down_and_up_again() -> None:
    """While it is down connections are refused; the port stays the same."""
    with FaultyUpstream() as upstream, FaultProxy(upstream.port) as proxy:
        port = proxy.port
        proxy.change(down=True)
        with pytest.raises(ConnectionRefusedError):
            ask(port)
        proxy.change()
        assert b"n1" in ask(port)


def test_bandwidth_takes_time() -> None:
    """A thousand bytes a second are not exceeded."""
    with FaultyUpstream() as upstream:
        with FaultProxy(upstream.port, Toxics(bytes_per_s=5000, slice_bytes=100)) as proxy:
            began = time.monotonic()
            size = len(ask(proxy.port))
            assert time.monotonic() - began >= 0.8 * size / 5000


def test_what_errs_elsewhere_is_said_plainly() -> None:
    """``change`` needs the thread that ``with`` makes."""
    with pytest.raises(RuntimeError, match="change_async"):
        FaultProxy(1).change()
