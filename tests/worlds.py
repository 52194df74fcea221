"""A small world for tests: three models at one provider, and requests to route."""

from dataclasses import replace
from typing import Any

from turnout.catalog import Catalog, Deployment, ModelCard, Price, Provider, Rates
from turnout.core import Constraints, Features, Prediction, Ref, Request, Snapshot
from turnout.decision import Rulebook, SafetyRule
from turnout.policies import Cheapest, IntentMap, Policy, Random, Strongest

NOW = Snapshot(as_of=1_700_000_000.0, version=1)


def price(usd_in: int, usd_out: int) -> Price:
    """A price in USD per million tokens."""
    rates = Rates(input=usd_in * 10**6, output=usd_out * 10**6)
    return Price(rates=rates, source="this test", date="2026-01-01")


def deployment(name: str, money: Price | None, *, provider: str = "p", **card: Any) -> Deployment:
    """A deployment called ``name`` of the model ``model-name``."""
    return Deployment(
        id=name,
        card=ModelCard(id=f"model-{name}", **card),
        provider=Provider(name=provider, base_url=f"http://{provider}.test/v1", api_key="k"),
        price=money,
    )


def anthropic(name: str, money: Price, **card: Any) -> Deployment:
    """A deployment at Anthropic's API."""
    made = deployment(name, money, provider="anthropic", **card)
    return replace(made, provider=replace(made.provider, family="anthropic"))


def catalog(*deployments: Deployment) -> Catalog:
    """The given deployments, else three: fast, coder and strong."""
    chosen = deployments or (
        deployment("fast", price(1, 2)),
        deployment("coder", price(2, 4)),
        deployment("strong", price(10, 30)),
    )
    return Catalog(deployments={d.id: d for d in chosen})


def rulebook(
    policy: Policy | None = None, cards: Catalog | None = None, *, block: bool = True
) -> Rulebook:
    """The recipe's rules over ``cards``."""
    cards = cards or catalog()
    return Rulebook(
        catalog=cards,
        policy=policy
        or IntentMap(
            routes={"simple_qa": "fast", "creative": "strong", "code": "coder"}, default="fast"
        ),
        policies={
            "cheapest": Cheapest(),
            "random": Random(),
            "strongest": Strongest(order=tuple(d.id for d in cards.by_strength())),
        },
        safety=SafetyRule(threshold=0.5, refusal="no", block=block),
        intents=frozenset({"simple_qa", "creative", "code"}),
        bundle="sha256:test",
    )


def request(
    text: str = "hello", *, model: str = "auto", ident: str = "r_1", **more: Any
) -> Request:
    """A request with one user message; ``more`` goes into the body."""
    limits = more.pop("constraints", None) or Constraints()
    body = {"messages": [{"role": "user", "content": text}], **more}
    return Request(id=ident, body=body, model=model, constraints=limits)


def features(tokens: int = 10, output: int = 100, **more: Any) -> Features:
    """Features of a prompt with this many tokens."""
    return Features(input_tokens={"o200k_base": tokens}, output_tokens=output, **more)


def prediction(
    intent: str | None = "code", *, unsafe: float | None = 0.01, **more: Any
) -> Prediction:
    """A prediction that is sure of ``intent``."""
    intents = ((intent, 0.9), ("chat", 0.1)) if intent else ()
    return Prediction(classifier=Ref(name="test"), intents=intents, harm=unsafe, **more)
