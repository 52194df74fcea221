"""The proof of billing: every upstream call, through every fault, against the upstream's invoice.

The upstream is that of ``turnout.testing``: it keeps its own invoice, entry by entry, of what it
really produced. If it sent its usage and the answer could be read, ledger and invoice must be
equal to the token and the pico-dollar. Otherwise the ledger must say that it estimates.
"""

import asyncio
import random
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from msgspec import structs

from turnout.catalog import build
from turnout.classifiers import LocalClassifier
from turnout.classifiers.local import FirstVerdict
from turnout.config import load_mapping
from turnout.core import Message, Outcome, Prediction, Ref, Request, RouterError
from turnout.ledger import DONE, Ledger, Store, verify
from turnout.ledger.sqlite import SqliteStore
from turnout.proving.bill import PRICES, Bill, compare
from turnout.proving.crowd import run_concurrently
from turnout.proving.report import Check, Trial, check_of
from turnout.proving.sabotages import Billing as Sabotage
from turnout.runtime import Router, assemble
from turnout.testing import FaultyUpstream
from turnout.testing.faults import ALWAYS_ASKED, HEAVY

# The faults, for a whole answer and for a streamed one.
FAULTS = (
    "f-tokens20", "f-reason", "f-cached", "f-deepseek-cached", "f-xai-reason", "f-othermodel",
    "f-429", "f-500", "f-503-ra1", "f-402", "f-400", "f-reset@0", "f-reset@3", "f-cut@3",
    "f-error@0", "f-error@4", "f-badchunk@2", "f-badchunks@2", "f-badhex@2", "f-stall@0",
    "f-stall@4", "f-hang", "f-empty", "f-nousage", "f-lateusage", "f-nullusage", "f-negusage",
    "f-wrongusage", "f-nodone", "f-nofinish", "f-html200", "f-halfjson", "f-badlength",
    "f-redirect", "f-crlf", "f-cr", "f-bom", "f-nospace", "f-bytewise", "f-comments", "f-gzipbomb",
    "f-hugeevent", "f-hugeheader", "f-extrabytes", "f-drip5ms", "f-401", "f-404", "f-quota",
    "f-spend", "f-context", "f-filter", "f-500-plainerror", "f-500-flaterror", "f-500-detailerror",
    "f-429-ragarbage", "f-429-rahuge",
)  # fmt: skip
TASKS = 32
_LEAVING_SHARE = 0.05


def billing(count: int, trial: Trial, *, sabotage: Sabotage | None = None) -> Check:
    """``count`` requests through every fault, and the two accounts side by side."""
    store = SqliteStore(trial.folder / "ledger.db")
    bill = asyncio.run(_run_requests(store, count, trial, sabotage))
    findings = verify(store)
    error = _relative_error(bill.estimated_pico_usd, bill.invoiced_for_estimates_pico_usd)
    check = check_of(
        "ledger = invoice",
        {
            "difference where usage was sent (pico-dollars)": bill.difference_pico_usd,
            "calls that differ": bill.differing,
            "estimates not marked": bill.unmarked,
            "calls on the invoice only": bill.missing,
            "calls in the ledger only": bill.unexpected,
            "faults asked for and never met": bill.never_occurred,
            "findings of verify": len(findings),
        },
        requests=bill.requests,
        calls=bill.calls,
        exact=bill.exact,
        free=bill.unbilled,
        estimated=bill.estimated,
        never_arrived=bill.never_arrived,
        estimates_against_invoice=error,
    )
    worst = ", ".join(f"{name} {number}" for name, number in sorted(bill.by_fault.items()))
    return replace(check, detail="; ".join([*findings[:3], worst]).strip("; "))


async def _run_requests(store: Store, count: int, trial: Trial, sabotage: Sabotage | None) -> Bill:
    rng, bill, faults = random.Random(trial.seed), Bill(requests=count), {}
    async with FaultyUpstream() as upstream:
        config = _config(upstream)
        with_labels = {**config, "classifier": {"kind": "llm", "model": "label", "deadline_s": 2}}
        catalog = build(load_mapping(config, {}), {})
        ledger = _LEDGERS[sabotage](store, catalog=catalog)
        routers = [_router(one, ledger) for one in (config, with_labels)]

        async def send_request(number: int) -> None:
            fault = rng.choice(FAULTS)
            if fault in HEAVY and rng.random() < 0.98:
                fault = "f-tokens20"
            request = _request(number, FAULTS.index(fault))
            faults[request.id] = fault
            await _ask(routers[rng.random() < 0.1], request, rng)
            trial.progress(number + 1)

        await run_concurrently(range(count), send_request, TASKS)
        await _wait_until_quiet(upstream)
        for router in routers:
            await router.parts.means.backends.aclose()
        await asyncio.to_thread(ledger.close)
    compare(store, upstream.invoice, faults, bill)
    return bill


async def _ask(router: Router, request: Request, rng: random.Random) -> None:
    """One request, whole or streamed; a few callers disconnect early."""
    is_leaving = rng.random() < _LEAVING_SHARE
    with suppress(RouterError, TimeoutError):
        if rng.random() < 0.5:
            async with asyncio.timeout(0.02 if is_leaving else None):
                await router.achat(request)
            return
        stream = await router.achat(request, stream=True)
        async for _ in stream:
            if is_leaving:
                break
        await stream.aclose()


async def _wait_until_quiet(upstream: FaultyUpstream) -> None:
    """Wait until the upstream has noticed every disconnected caller."""
    for _ in range(100):
        if all(entry.ended_s is not None for entry in upstream.invoice):
            return
        await asyncio.sleep(0.05)


def _request(number: int, fault: int) -> Request:
    ident = f"r_{number:012x}{number:012x}"
    text = f"Say something about railways, number {number}. nonce: {ident}"
    body = {"messages": [{"role": "user", "content": text}], "max_tokens": 40}
    return Request(id=ident, body=body, model=f"i{fault}")


class FixedClassifier(LocalClassifier):
    """A classifier that takes no time: a request for an intent by name needs no other."""

    def __init__(self) -> None:
        pass

    def begin_batch(self, conversations: Sequence[Sequence[Message]]) -> list[FirstVerdict]:
        """Harmless, at once."""
        harmless = Prediction(classifier=Ref(name="none"), harm=0.0, injection=0.0)
        return [harmless] * len(conversations)


def _router(config: Mapping[str, Any], ledger: Ledger) -> Router:
    assembly = assemble(load_mapping(config, {}), {}, recorder=ledger)
    return Router(replace(assembly, classifier=FixedClassifier()))


def _config(upstream: FaultyUpstream) -> dict[str, Any]:
    """A configuration whose intents are the faults."""
    faulty = {f"m{place}": fault for place, fault in enumerate(FAULTS)}
    names = {**faulty, "fast": "acme/fast", "label": "acme/label", "another": "another-model"}
    return {
        "providers": {"acme": {"base_url": upstream.base_url, "api_key": "k3y"}},
        "provider": "acme",
        "models": {
            name: {"model": model, "price": _price("fault" if name in faulty else name)}
            for name, model in names.items()
        },
        "intents": {f"i{place}": f"m{place}" for place in range(len(FAULTS))},
        "default": "fast",
        "fallbacks": {name: ["fast"] for name in faulty},
        "timeouts": {"connect_s": 2, "first_token_s": 0.5, "inter_token_s": 0.4, "total_s": 3},
        "retries": {"retries": 1, "base_s": 0.01, "longest_wait_s": 0.05},
        # With unlimited retries.
        "health": {**ALWAYS_ASKED, "retry_share": 1, "retry_reserve": 10**9},
    }


def _price(kind: str) -> dict[str, str]:
    return dict(zip(("input", "output", "cache_read"), PRICES[kind], strict=True))


class _ForgetsExtraCalls(Ledger):
    """A ledger that leaves out labels and failed attempts, as a sabotage."""

    def attempted(self, outcome: Outcome) -> Awaitable[None]:
        """Only answers."""
        if outcome.status == "failed" or not outcome.is_answer:
            return DONE
        return super().attempted(outcome)


class _BillsTheModelAskedFor(Ledger):
    """A ledger that prices by the request instead of the answer, as a sabotage."""

    def attempted(self, outcome: Outcome) -> Awaitable[None]:
        """At the price of the model asked for."""
        return super().attempted(structs.replace(outcome, model=outcome.route.model))


_LEDGERS: Mapping[Sabotage | None, type[Ledger]] = {
    None: Ledger,
    "extra-calls": _ForgetsExtraCalls,
    "wrong-price": _BillsTheModelAskedFor,
}


def _relative_error(recorded: int, invoiced: int) -> str:
    return f"{100 * (recorded - invoiced) / invoiced:+.1f}%" if invoiced else "none"
