"""Every fault of a provider ends as documented: fallback before the first byte, honesty after."""

import asyncio
import contextlib

import pytest

from tests.runtime.world import CODE, FACT, MODELS, replied, router
from turnout import AllRoutesFailed, ProviderError
from turnout.core import BadResponse, Request, RequestError
from turnout.testing import FaultyUpstream

FALLS_OVER = [
    "f-429-ra5",
    "f-429",
    "f-500",
    "f-503",
    "f-hang",
    "f-reset@0",
    "f-stall@0",
    "f-idle@0",
    "f-html200",
    "f-halfjson",
    "f-empty",
    "f-error@0",
    "f-404",
    "f-badlength",
]
ONLY_WHOLE = {"f-halfjson", "f-badlength"}
ONLY_STREAMED = {"f-error@0", "f-stall@0", "f-idle@0"}
AFTER_FIRST_BYTE = ["f-reset@4", "f-stall@4", "f-idle@4", "f-error@4", "f-cut@4", "f-badchunks@4"]


@pytest.mark.parametrize(
    ("fault", "stream"),
    [(fault, True) for fault in FALLS_OVER if fault not in ONLY_WHOLE]
    + [(fault, False) for fault in FALLS_OVER if fault not in ONLY_STREAMED],
)
def test_a_fault_before_the_first_byte_falls_over_in_silence(fault: str, *, stream: bool) -> None:
    """The caller gets the fallback's whole answer, and its name."""
    with FaultyUpstream() as upstream, router(upstream, models={"coder": fault}) as r:
        reply = replied(r, CODE, stream=stream)
    assert reply.body["model"] == reply.receipt.answered_by == MODELS["fast"]
    assert [o.status for o in reply.outcomes][-1] == "ok"
    assert reply.outcomes[0].error is not None


@pytest.mark.parametrize("fault", AFTER_FIRST_BYTE)
def test_a_fault_after_the_first_byte_ends_with_an_error(fault: str) -> None:
    """What was sent stays sent, no other model is spliced in, and the end is not a clean one."""
    with FaultyUpstream() as upstream, router(upstream, models={"coder": fault}) as r:
        stream = r.chat(CODE, stream=True)
        seen = []
        with pytest.raises(ProviderError):
            seen.extend(stream)
        reply = stream.reply
    assert any(c["choices"][0]["delta"].get("content") for c in seen)
    assert {entry.model for entry in upstream.invoice} == {fault}
    (outcome,) = reply.outcomes
    assert (outcome.status, outcome.released) == ("failed", True)
    assert outcome.usage.total_output > 0


@pytest.mark.parametrize(
    "fault", ["f-badchunk@2", "f-nousage", "f-lateusage", "f-crlf", "f-bytewise"]
)
def test_what_can_be_read_is_read(fault: str) -> None:
    """One bad chunk, no usage, late usage and odd framing do not spoil an answer."""
    with FaultyUpstream() as upstream, router(upstream, models={"coder": fault}) as r:
        stream = r.chat(CODE, stream=True)
        list(stream)
        reply = stream.reply
    (outcome,) = reply.outcomes
    assert outcome.status == "ok"
    assert outcome.usage.estimated == (fault == "f-nousage")
    assert outcome.usage.total_output > 0


def test_no_credit_takes_the_whole_provider_down() -> None:
    """A 402 is not retried, and no other model of that provider is asked."""
    with FaultyUpstream() as upstream, router(upstream, models={"coder": "f-402"}) as r:
        with pytest.raises(AllRoutesFailed) as caught:
            r.chat(CODE)
    assert [entry.model for entry in upstream.invoice] == ["f-402"]
    assert caught.value.outcomes[0].error.kind == "no_credit"  # type: ignore[union-attr]
    assert str(caught.value).startswith("the model failed (coder: ")


@pytest.mark.parametrize(("fault", "due_ms"), [("f-idle@0", 1500), ("f-idle@4", 1000)])
def test_events_without_content_move_no_deadline(fault: str, due_ms: float) -> None:
    """The first token and the next one are due as if nothing came, well before the whole answer."""
    with FaultyUpstream() as upstream, router(upstream, models={"coder": fault}) as r:
        stream = r.chat(CODE, stream=True)
        with contextlib.suppress(ProviderError):
            list(stream)
        failed = stream.reply.outcomes[0]
    assert failed.error is not None
    assert failed.error.kind == "timeout"
    assert due_ms <= failed.latency_ms < 2500


def test_a_retry_after_is_waited_for_by_the_last_route() -> None:
    """With one model only, its Retry-After is honoured, then it answers."""
    with FaultyUpstream(scripts={"acme/coder": "f-429-ra1-fails1"}) as upstream:
        with router(upstream, fallbacks={"coder": []}) as r:
            reply = r.chat(CODE)
    first, second = upstream.invoice
    assert second.started_s - first.started_s >= 1
    assert reply.receipt.answered_by == MODELS["coder"]


def test_the_callers_own_mistake_is_not_sent_around() -> None:
    """A 400 comes back as the caller's error, from one call."""
    with FaultyUpstream() as upstream, router(upstream, models={"coder": "f-400"}) as r:
        with pytest.raises(RequestError):
            r.chat(CODE)
    assert len(upstream.invoice) == 1


def test_when_all_fail_every_attempt_is_reported() -> None:
    """The error names each model and what it did, without the key."""
    broken = {"coder": "f-500", "fast": "f-401-echokey", "strong": "f-hang"}
    with FaultyUpstream() as upstream, router(upstream, models=broken) as r:
        with pytest.raises(AllRoutesFailed) as caught:
            r.chat(CODE)
    text = str(caught.value)
    assert text.startswith("every model failed (")
    assert all(name in text for name in ("coder", "fast"))
    assert "k3y-acme" not in text


def test_an_unreachable_provider_is_one_clear_line() -> None:
    """Host and port are named."""
    with FaultyUpstream() as upstream:
        gone = router(upstream)
    with gone as r, pytest.raises(AllRoutesFailed, match=r"127\.0\.0\.1:\d+") as caught:
        r.chat(CODE)
    assert "\n" not in str(caught.value)


async def test_leaving_a_stream_frees_its_connection() -> None:
    """Closing early cancels upstream within a moment, and the call is settled as cancelled."""
    async with FaultyUpstream() as upstream:
        async with router(upstream, models={"coder": "f-drip50ms"}) as r:
            stream = await r.achat(CODE, stream=True)
            async for _ in stream:
                break
            await stream.aclose()
            for _ in range(40):
                if upstream.invoice[0].peer_closed_after is not None:
                    break
                await asyncio.sleep(0.05)
            (outcome,) = stream.reply.outcomes
    assert upstream.invoice[0].peer_closed_after is not None
    assert outcome.status == "cancelled"
    assert outcome.usage.estimated


@pytest.mark.parametrize("answered", [False, True], ids=["before it is sent", "after its answer"])
async def test_who_leaves_between_two_steps_pays_what_was_used(*, answered: bool) -> None:
    """Others are under way, so that a request waits for them: a call that was not sent is free."""
    request = Request(id="r", body={"messages": [{"role": "user", "content": FACT}]})
    async with FaultyUpstream() as upstream, router(upstream) as r:
        with r.cohort, r.cohort:
            walk = await r.begin(request)
            leaving = asyncio.create_task(walk.whole())
            while not (walk.outcomes if answered else walk.call):  # noqa: ASYNC110 -- turns are meant
                await asyncio.sleep(0)
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
    (outcome,) = walk.outcomes
    assert outcome.status == ("ok" if answered else "cancelled")
    assert len(upstream.invoice) == answered
    assert outcome.usage.is_empty is not answered
    assert bool(outcome.cost_pico_usd) is answered


async def test_a_cancelled_call_leaves_the_router_usable() -> None:
    """Fifty cancelled calls leave no connection behind, and the next call is answered."""
    async with FaultyUpstream(scripts={"acme/coder": "f-hang-fails50"}) as upstream:
        async with router(upstream) as r:
            for _ in range(50):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(r.achat(CODE), 0.02)
            upstream.scripts.clear()
            reply = await r.achat(CODE)
            assert reply.text
            await asyncio.sleep(0.1)
            assert upstream.open_connections <= 2


def test_a_truncated_answer_is_a_bad_response() -> None:
    """A lone model that stops half-way raises, it does not return half an answer."""
    with FaultyUpstream() as upstream:
        broken = router(upstream, models={"coder": "f-cut@3"}, fallbacks={"coder": []})
        with broken as r, pytest.raises((AllRoutesFailed, BadResponse)):
            r.chat(CODE)
