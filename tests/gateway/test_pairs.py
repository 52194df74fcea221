"""Features in combination: each two settings meet in some case, and some things always hold.

The cases are a covering array that is drawn by a seed. Each case asks the same thing three times:
as it is, once more, and streamed instead of whole or the other way round.
"""

import asyncio
import io
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.test_canaries import captured_logs
from tests.gateway.test_golden_matrix import (
    DIALECTS,
    FEATURES,
    PATHS,
    QUESTION,
    body_of,
    parsed_answer,
)
from tests.gateway.world import Answer, World, world
from tests.runtime.world import UNSAFE
from tests.waiting import soon
from turnout.decision import decide
from turnout.gateway.access import Access
from turnout.ledger import Store, decision_of, request_details, store_at, verify
from turnout.testing import InvoiceEntry
from turnout.testing.caller import ask

__all__ = ["captured_logs"]  # a fixture

Case = Mapping[str, Any]
Calls = Sequence[Mapping[str, Any]]  # the ledger's rows
ADMIN = {"x-api-key": "admin-key-0123456789"}
FAMILIES = ("openai", "anthropic", "openai-responses")
# Dollars for a million tokens, in and out.
PRICES = {"fast": (1, 2), "coder": (2, 4), "strong": (10, 20), "judge": (3, 5), "label": (4, 7)}
QUALITIES = {"fast": 0.6, "coder": 0.7, "strong": 0.9, "judge": 0.1, "label": 0.1}
POLICIES: tuple[dict[str, Any], ...] = (
    {"name": "intent_map"},
    {"name": "cheapest_above_quality", "quality": 0.7},
    {"name": "utility", "per_usd": 100},
    {"name": "weighted", "weights": {"fast": 3, "strong": 1}},
    {"name": "rules", "rules": [{"name": "chores", "model": "coder", "kind": "background"}]},
    {"name": "cascade", "steps": 2, "verify": {"kind": "model", "model": "judge"}},
    {"name": "cascade", "steps": 2, "verify": {"kind": "schema"}},
    {"name": "cascade", "steps": 2, "verify": {"kind": "logprobs"}},
)
BUDGETS: dict[str, dict[str, Any]] = {
    "cheaper": {"per": "team", "window": "day", "usd": "0.01", "when_full": "cheaper"},
    "once": {"per": "key", "window": "day", "requests": 1},
    "full model": {"per": "model", "name": "fast", "window": "day", "usd": 0},
    "full judge": {"per": "model", "name": "judge", "window": "day", "usd": 0},
}
NEVER = {"few models": {"strong"}, "full model": {"fast"}, "full judge": {"judge"}}
FACTORS: dict[str, Sequence[Any]] = {
    "dialect": DIALECTS,
    "stream": (False, True),
    "feature": FEATURES,
    "families": tuple(product(FAMILIES, FAMILIES)),
    "policy": POLICIES,
    "model": ("auto", "fast", "code", "cheapest", "gpt-4o"),
    "header": ("session: s1", "kind: background", "max-cost-usd: 0.01", "quality: 0.95"),
    "label": ("", "simple_qa", "I think that bananas", "f-hang", "f-500"),
    "prompt": (QUESTION, QUESTION, f"{UNSAFE} nonce: n7"),
    "answers": ("off", "scan", "scan unsafe"),
    "fault": (
        "honest", "f-429-ra30", "f-500", "f-402", "f-filter", "f-context", "f-reset@4", "f-cached",
        "f-halfjson", "f-error@4", "f-nofinish", "f-othermodel", "f-nousage", "f-picky",
        "f-500-fails1",
    ),
    "faulty": (("fast",), ("fast", "coder"), ("judge",)),
    "account": ("none", "key", "few models", *BUDGETS),
    "again": ("as new", "from the cache", "under its key"),
    "verdict": ("yes", "no"),
    "leaves": (False, True),
    "hold": (False, True),
}  # fmt: skip


def covering(seed: int) -> list[Case]:
    """Cases in which each two values of two factors occur together."""
    chance, names = random.Random(seed), list(FACTORS)  # noqa: S311 -- seeded
    places = {name: range(len(values)) for name, values in FACTORS.items()}
    pairs = [
        ((a, i), (b, j)) for a, b in combinations(names, 2) for i in places[a] for j in places[b]
    ]
    chance.shuffle(pairs)
    left, cases = set(pairs), list[Case]()
    for pair in pairs:
        if pair in left:
            drawn = [{n: chance.choice(places[n]) for n in names} | dict(pair) for _ in range(20)]
            met = [set(combinations(one.items(), 2)) & left for one in drawn]
            best = max(range(len(drawn)), key=lambda place: len(met[place]))
            left -= met[best]
            cases.append({name: FACTORS[name][i] for name, i in drawn[best].items()})
    return cases


CASES = covering(20261130)
FEW = 20
REST = [pytest.param(number, marks=pytest.mark.slow) for number in range(FEW, len(CASES))]


@pytest.mark.parametrize("number", [*range(FEW), *REST])
def test_what_always_holds(number: int, tmp_path: Path, captured_logs: io.StringIO) -> None:
    """Whatever is combined in this case; after a caller who disconnects, too."""
    case = CASES[number]
    with world(**_settings(case, tmp_path)) as w:
        key, body, store = _begun(w, case), _body(case), store_at(tmp_path / "ledger.db")
        if case["leaves"]:
            asyncio.run(ask(w.port, case["dialect"], body, headers=key, leave_after_s=0.02))
            _quiet(w)
        once = {"idempotency-key": "once"} if case["again"] == "under its key" else {}
        first, again = (_asked(w, store, case, body, key | once) for _ in range(2))
        other = _asked(w, store, case, {**body, "stream": not body["stream"]}, key)
        if _is_complete(first):
            kept = {"idempotent-replayed", "x-turnout-cache"} & again.headers.keys()
            assert kept or not once
            assert not kept or again.body == first.body
            _check_same(case, first, other)
        _check_accounts(w, store)
        asked = {entry.model.removeprefix("acme/") for entry in w.upstream.invoice}
        assert not asked & NEVER.get(case["account"], set())
        assert '"level":"error"' not in captured_logs.getvalue()
        for word in ("k3y-acme", "nonce", *(k.removeprefix("Bearer ") for k in key.values())):
            assert word not in captured_logs.getvalue()


def _settings(case: Case, folder: Path) -> dict[str, Any]:
    budgets = [{"per": "all", "window": "day", "usd": 1000}, BUDGETS.get(case["account"])]
    wait_s = 0.2 if case["label"] == "f-hang" else 5
    labels = {"kind": "llm", "model": "label", "deadline_s": wait_s}
    families = zip(("fast", "coder"), case["families"], strict=True)
    patience = {"connect_s": 5, "first_token_s": 5, "inter_token_s": 5, "total_s": 10}
    return {
        "policy": case["policy"],
        "models": {name: f"acme/{name}" for name in PRICES},
        "prices": {name: {"input": str(i), "output": str(o)} for name, (i, o) in PRICES.items()},
        "qualities": QUALITIES,
        "speaks": {name: family for name, family in families if family != "openai"},
        "modalities": ["text", "image"],
        "aliases": {"gpt-4o": "auto"},
        "budgets": [budget for budget in budgets if budget],
        "timeouts": patience | ({"hold_s": 0.2} if case["hold"] else {}),
        "safety": {"answers": case["answers"].partition(" ")[0]},
        "cache": {"ttl_s": 60 if case["again"] == "from the cache" else 0},
        "classifier": labels if case["label"] else "local",
        "access": Access(admin=ADMIN["x-api-key"]),
        "ledger": str(folder / "ledger.db"),
    }


def _begun(w: World, case: Case) -> dict[str, str]:
    """Scripts what the models do. Returns the caller's key as a header, if it has one."""
    told = {f"acme/{name}": UNSAFE for name in ("fast", "coder", "strong")}
    w.upstream.replies.update(told if case["answers"] == "scan unsafe" else {})
    w.upstream.replies.update({"acme/label": case["label"], "acme/judge": case["verdict"]})
    w.upstream.certainty["acme/fast"] = 0.95 if case["verdict"] == "yes" else 0.5
    w.upstream.scripts.update({f"acme/{name}": case["fault"] for name in case["faulty"]})
    w.upstream.scripts["acme/label"] = case["label"] if case["label"].startswith("f-") else "honest"
    if case["account"] in ("none", "full model", "full judge"):
        return {}
    rights = {"models": ["fast", "coder"]} if case["account"] == "few models" else {}
    made = w.post("/v1/keys", {"name": "ci", "team": "t", **rights}, ADMIN).json()
    return {"authorization": f"Bearer {made['key']}"}


def _body(case: Case) -> dict[str, Any]:
    body = json.dumps(body_of(case["dialect"], case["feature"])).replace(QUESTION, case["prompt"])
    picky = {"temperature": 0.5} if case["fault"] == "f-picky" else {}
    return {**json.loads(body), **picky, "model": case["model"], "stream": case["stream"]}


def _asked(w: World, store: Store, case: Case, body: Any, headers: dict[str, str]) -> Answer:
    """An answer, checked against its API, its decision, the ledger and the provider's invoice."""
    name, value = case["header"].split(": ")
    answer = w.post(PATHS[case["dialect"]], body, {f"x-turnout-{name}": value, **headers})
    _quiet(w)
    says = answer.headers
    # Questions for a label or a verdict have a suffix.
    billed = [e for e in w.upstream.invoice if e.request_id.startswith(says["x-request-id"])]
    assert answer.status != 500
    if not _is_complete(answer):
        told = json.loads(answer.events()[-1][1] if answer.status == 200 else answer.body)
        assert (told.get("response") or told)["error"]["message"]
        assert case["dialect"] != "messages" or told["type"] == "error"
    if "idempotent-replayed" in says or "x-turnout-cache" in says:
        assert (says["x-turnout-cost-usd"], billed) == ("0", [])
    elif "x-turnout-decision" in says:
        assert not (case["answers"] == "scan unsafe" and b"neighbour" in answer.body)
        calls = request_details(store, says["x-turnout-decision"])["calls"]
        _check_headers(w, store, answer, calls, headers or ADMIN)
        _check_calls(case, calls, billed)
    return answer


def _check_headers(w: World, store: Store, answer: Answer, calls: Calls, key: Any) -> None:
    """Headers, body, decision and ledger agree, and the decision would be made again."""
    says = {name.removeprefix("x-turnout-"): value for name, value in answer.headers.items()}
    record = w.get(f"/v1/decisions/{says['decision']}", key).json()
    request, decision = decision_of(store, says["decision"])
    seen = decision.features, decision.prediction, decision.snapshot
    assert decide(request, *seen, w.gateway.engine.parts.means.rules) == decision
    costs = [call["cost"] for call in calls]
    cost = None if None in costs else Decimal(sum(costs)) / 10**12
    assert record["cost_usd"] == (None if cost is None else float(cost))
    if "cost-usd" in says:
        assert says["cost-usd"] == "unknown" if cost is None else Decimal(says["cost-usd"]) == cost
    assert (record["reason"], says["intent"]) == (decision.reason, decision.intent)
    answers = [call for call in calls if call["role"] not in ("classifier", "verifier")]
    assert int(says.get("attempts", len(answers))) == len(answers)
    if answer.status == 200 and answers and "model" in says:
        last = answers[-1]
        why = {c.deployment: c.reason for c in decision.candidates}[last["deployment"]]
        written = why.replace("→", "->").replace("≥", ">=")
        assert says["reason"].startswith((written, "answer stopped"))
        assert _models_in(answer) == {last["served"] or last["model"]} == {says["model"]}


def _check_calls(case: Case, calls: Calls, billed: Sequence[InvoiceEntry]) -> None:
    """Each call is on the provider's invoice at the same price, and no other one is."""
    if case["label"] == "f-hang":  # which may have been given up before its question arrived
        calls = [call for call in calls if call["role"] != "classifier"]
        billed = [entry for entry in billed if entry.model != "acme/label"]
    if case["fault"] == "f-picky":  # which is asked again at once, without the setting
        calls = [call for call in calls if call["http_status"] != 400]
        billed = [entry for entry in billed if entry.status != 400]
    assert Counter(call["model"] for call in calls) == Counter(entry.model for entry in billed)
    calls = sorted(calls, key=lambda call: call["model"])  # of one model in their order
    for call, entry in zip(calls, sorted(billed, key=lambda entry: entry.model), strict=True):
        price = PRICES[entry.model.removeprefix("acme/")]
        owed = entry.prompt_tokens * price[0] + entry.completion_tokens * price[1]
        paid = owed * 10**6 if entry.status == 200 else 0
        assert call["estimated"] or call["cost"] == (None if call["served"] else paid)


def _check_same(case: Case, first: Answer, other: Answer) -> None:
    """A model says the same whole and streamed, unless it was refused or stopped."""
    refused = b"content_filter" in first.body or b"refusal" in first.body
    if _is_complete(other) and _models_in(first) == _models_in(other) and not refused:
        assert parsed_answer(case["dialect"], first) == parsed_answer(case["dialect"], other)


def _check_accounts(w: World, store: Store) -> None:
    """Nothing stays held; budgets, metrics and ledger have the same sums."""
    assert soon(lambda: store.fetch("SELECT count(*) FROM holds") == [(0,)])
    assert verify(store) == []
    costs = [cost for (cost,) in store.fetch("SELECT cost FROM calls")]
    budgets = w.get("/v1/budgets", ADMIN).json()["data"]
    assert {Decimal(budget["held"]) for budget in budgets} == {0}
    (spent,) = [budget["spent"] for budget in budgets if budget["per"] == "all"]
    assert None in costs or Decimal(spent) * 10**12 == sum(costs)
    lines = w.get("/metrics", ADMIN).body.decode().splitlines()
    told = [float(line.split()[-1]) for line in lines if line.startswith("turnout_cost_usd_total{")]
    assert sum(told) * 10**12 == pytest.approx(sum(cost or 0 for cost in costs))


def _is_complete(answer: Answer) -> bool:
    """Whether it came to its end, as its API marks it."""
    if answer.status != 200 or "event-stream" not in answer.headers["content-type"]:
        return answer.status == 200
    ends = {"[DONE]", "message_stop", "response.completed", "response.incomplete"}
    return not ends.isdisjoint(answer.events()[-1])


def _models_in(answer: Answer) -> set[str]:
    """Every model that the body names."""
    if "event-stream" not in answer.headers["content-type"]:
        return {answer.json()["model"]}
    events = [json.loads(data) for _, data in answer.events() if data != "[DONE]"]
    found = [event.get("response") or event.get("message") or event for event in events]
    return {one["model"] for one in found if isinstance(one, dict) and one.get("model")}


def _quiet(w: World) -> None:
    """Waits until nothing is under way, at the gateway or at the provider."""
    assert soon(
        lambda: not w.gateway._metrics.under_way and all(e.ended_s for e in w.upstream.invoice)
    )
