"""A small world for money: three priced models, decisions among them, and what calls used."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from turnout.catalog import Catalog, Deployment, ModelCard, Price, Provider, Rates
from turnout.core import (
    Bound,
    Decision,
    Fault,
    Features,
    Outcome,
    Prediction,
    Ref,
    Request,
    Route,
    Snapshot,
    Usage,
)
from turnout.decision import Rulebook, SafetyRule, decide
from turnout.ledger import Ledger
from turnout.policies import IntentMap

ACME = Provider(name="acme", base_url="http://127.0.0.1:1/v1")
USD = 10**12


def deployment(name: str, usd_in: int, usd_out: int, quality: float, **card: Any) -> Deployment:
    """A model at dollars per million tokens, cached prompt tokens at a tenth."""
    return Deployment(
        id=name,
        card=ModelCard(id=f"acme/{name}", quality=quality, **card),
        provider=ACME,
        price=Price(
            rates=Rates(input=usd_in * 10**6, output=usd_out * 10**6, cache_read=usd_in * 10**5),
            source="this test",
            date="2026-11-01",
        ),
    )


CATALOG = Catalog(
    deployments={
        d.id: d
        for d in (
            deployment("small", 1, 2, 0.5, tokenizer="qwen3"),
            deployment("mid", 3, 6, 0.7),
            deployment("large", 10, 30, 0.9, token_factor=1.2),
        )
    }
)


def rules(catalog: Catalog = CATALOG) -> Rulebook:
    """Code goes to the large model, all else to the small one."""
    return Rulebook(
        catalog=catalog,
        policy=IntentMap(routes={"code": "large", "chat": "small"}, default="small"),
        safety=SafetyRule(threshold=0.5, refusal="no"),
        intents=frozenset({"code", "chat"}),
        bundle="sha256:test",
    )


def make_request(number: int, **more: Any) -> Request:
    """The ``number``-th request; ids rise with it."""
    body = {"messages": [{"role": "user", "content": "a secret text"}], "max_tokens": 500}
    return Request(id=f"r_{number:012x}{number:012x}", body=body, **more)


def decided(
    request: Request, intent: str = "code", *, tokens: int = 100, unsafe: float = 0.01
) -> Decision:
    """The decision on a prompt of ``tokens`` tokens."""
    features = Features(
        input_tokens={"o200k_base": tokens, "qwen3": tokens + tokens // 10}, output_tokens=400
    )
    guess = Prediction(
        classifier=Ref(name="test", digest="sha256:c"),
        intents=((intent, 0.8), ("other", 0.2)),
        harm=unsafe,
    )
    return decide(request, features, guess, Snapshot(as_of=1.7e9, version=3), rules())


def outcome(decision: Decision, usage: Usage, *, route: int = 0, **more: Any) -> Outcome:
    """An answered call of the decision's route."""
    chosen = decision.routes[route]
    more = {"status": "ok", "model": chosen.model, "ordinal": route, **more}
    return Outcome(decision_id=decision.id, route=chosen, usage=usage, **more)


_NOTHING = Usage()


def failed(decision: Decision, usage: Usage = _NOTHING) -> Outcome:
    """A call that failed before anything was released."""
    fault = Fault(kind="unavailable", detail="503", status=503)
    return outcome(decision, usage, status="failed", model=None, error=fault)


def label_call(decision: Decision, usage: Usage) -> Outcome:
    """The classifier's call at the small model."""
    route = Route(
        deployment="small", model="acme/small", provider="acme", role="classifier", ordinal=0
    )
    return Outcome(decision_id=decision.id, route=route, status="ok", ordinal=0, usage=usage,
                   model="acme/small")  # fmt: skip


@dataclass(frozen=True, slots=True)
class ReportedRequest:
    """One request as it was told to a ledger."""

    request: Request
    decision: Decision
    outcomes: tuple[Outcome, ...]


def bounds_up_to(pico_usd: int | None) -> dict[str, Bound]:
    """Bounds of a call that costs no more; None where nobody can say."""
    return {"large": Bound(pico_usd, 0)}


async def report_request(ledger: Ledger, reported: ReportedRequest) -> None:
    """Tell the ledger a whole request, as the runtime would."""
    await ledger.decided(reported.request, reported.decision, bounds_up_to(USD))
    for one in reported.outcomes:
        await ledger.attempted(one)
    await ledger.settled(reported.decision)


def traffic(count: int, start: int = 0) -> Iterator[ReportedRequest]:
    """Different requests: plain, cached, retried, labelled, estimated and blocked ones."""
    for number in range(start, start + count):
        request = make_request(number)
        intent = ("code", "chat", "poetry")[number % 3]
        unsafe = 0.9 if number % 11 == 10 else 0.01
        decision = decided(request, intent, tokens=50 + number % 200, unsafe=unsafe)
        yield ReportedRequest(request, decision, tuple(_calls(decision, number)))


def _calls(decision: Decision, number: int) -> Sequence[Outcome]:
    if decision.blocked:
        return []
    cached = 20 if number % 5 == 0 else 0
    used = Usage(
        input=60 + number % 200 - cached // 2,
        cache_read=cached,
        output=30 + number % 40,
        reasoning=number % 7,
        estimated=number % 13 == 0,
    )
    calls = [label_call(decision, Usage(input=80, output=2))] if number % 4 == 0 else []
    if number % 6 == 0:
        calls.append(failed(decision, Usage(input=50, output=number % 3, estimated=True)))
        return [*calls, outcome(decision, used, route=1)]
    return [*calls, outcome(decision, used)]
