"""The proof of isolation: many tenants at once through a gateway, some disconnecting midway.

Every request carries a nonce, which the upstream puts into its answer. An answer, whole or cut
off, must have its own nonce and no other; a decision's id must show everything to its own tenant
and nothing to another; and the ledger must have each request under its own tenant.

Invariant: the gateway is given as an address; this module does not know how it works.
"""

import asyncio
import json
import random
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from turnout.ledger import Store
from turnout.proving.crowd import run_concurrently
from turnout.proving.report import Check, Trial, check_of

TASKS = 64
LONGEST_STAY_S = 0.02
_ASKS_ABOUT_IDS = 0.02
_NONCE = re.compile(r"n\d+-\d+-x")
_PATHS = ("/v1/chat/completions", "/v1/messages", "/v1/responses")


@dataclass(slots=True)
class IsolationResult:
    """What was asked, and what arrived that should not have."""

    requests: int = 0
    answered: int = 0
    cancelled: int = 0
    refused: int = 0
    ids_asked: int = 0
    crossed: int = 0
    without_nonce: int = 0
    foreign_answered: int = 0
    own_refused: int = 0
    misfiled: int = 0
    tenant_of: dict[str, int] = field(default_factory=dict)
    decisions: dict[int, str] = field(default_factory=dict)

    def check_answer(self, nonce: str, text: str, *, whole: bool) -> None:
        """Check an answer, or as much of it as arrived."""
        found = set(_NONCE.findall(text))
        self.crossed += bool(found - {nonce})
        self.without_nonce += whole and nonce not in found

    def check(self, store: Store, tenants: Sequence[str]) -> Check:
        """The verdict, once the ledger has been compared."""
        for request_id, tenant in store.fetch("SELECT request_id, tenant FROM requests"):
            index = self.tenant_of.get(request_id)
            self.misfiled += index is not None and tenants[index] != tenant
        wrong = {
            "crossed replies": self.crossed,
            "replies without their nonce": self.without_nonce,
            "foreign ids answered": self.foreign_answered,
            "own ids refused": self.own_refused,
            "filed under another tenant": self.misfiled,
        }
        return check_of(
            "isolation", wrong, fix="raise --requests or lower --cancel", tenants=len(tenants),
            requests=self.requests, acknowledged=self.answered, cancelled=self.cancelled,
            refused=self.refused, ids_asked=self.ids_asked,
        )  # fmt: skip


async def send_requests_from(
    base_url: str,
    keys: Sequence[str],
    requests: int,
    cancelled: float,
    trial: Trial,
) -> IsolationResult:
    """``requests`` by the owners of ``keys``; the share ``cancelled`` disconnects early."""
    result = IsolationResult()
    connector = aiohttp.TCPConnector(limit=2 * TASKS)
    async with aiohttp.ClientSession(base_url, connector=connector) as session:

        async def send(number: int) -> None:
            rng = random.Random(f"{trial.seed} {number}")
            is_leaving = rng.random() < cancelled
            await _send_request(session, keys, number, rng, result, is_leaving=is_leaving)
            trial.progress(number)

        await run_concurrently(range(requests), send, TASKS)
    return result


async def _send_request(
    session: aiohttp.ClientSession,
    keys: Sequence[str],
    number: int,
    rng: random.Random,
    result: IsolationResult,
    *,
    is_leaving: bool,
) -> None:
    tenant = rng.randrange(len(keys))
    nonce, path = f"n{tenant}-{number}-x", rng.choice(_PATHS)
    body = _body(path, nonce, stream=rng.random() < 0.5)
    headers = {"x-api-key": keys[tenant]}
    result.requests += 1
    received: list[bytes] = []
    whole = False
    with suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(rng.uniform(0, LONGEST_STAY_S) if is_leaving else 60):
            async with session.post(path, json=body, headers=headers) as response:
                result.tenant_of[response.headers["x-request-id"]] = tenant
                async for piece in response.content.iter_any():
                    received.append(piece)  # noqa: PERF401 -- what came before a leave counts
                whole = response.status == 200
                result.refused += response.status != 200
                if decision := response.headers.get("x-turnout-decision"):
                    result.decisions[tenant] = decision
    result.answered += whole
    result.cancelled += not whole
    result.check_answer(nonce, _text(b"".join(received)), whole=whole)
    if rng.random() < _ASKS_ABOUT_IDS:
        await _ask_about_ids(session, keys, tenant, result)


async def _ask_about_ids(
    session: aiohttp.ClientSession, keys: Sequence[str], owner: int, result: IsolationResult
) -> None:
    """A decision's own tenant may read and judge it; another tenant gets a 404."""
    decision = result.decisions.get(owner)
    if decision is None:
        return
    feedback = {"decision_id": decision, "metric": "good", "value": 1}
    for reader in (owner, (owner + 1) % len(keys)):
        headers = {"x-api-key": keys[reader]}
        async with session.get(f"/v1/decisions/{decision}", headers=headers) as response:
            statuses = [response.status]
        async with session.post("/v1/feedback", json=feedback, headers=headers) as response:
            statuses.append(response.status)
        result.ids_asked += 1
        if reader == owner:
            result.own_refused += statuses != [200, 200]
        else:
            result.foreign_answered += statuses != [404, 404]


def _text(body: bytes) -> str:
    """The text of an answer; a stream's chunks are joined, since a nonce may span several."""
    text = body.decode("utf-8", "replace")
    pieces = []
    for line in text.splitlines():
        if line.startswith("data: {"):
            with suppress(ValueError):
                pieces.append(_piece(json.loads(line[6:])))
    return "".join(pieces) if pieces else text


def _piece(event: dict[str, Any]) -> str:
    """The text of one event in any of the three dialects."""
    choices: Any = event.get("choices") or ({},)
    delta = event.get("delta") or choices[0].get("delta") or ""
    if isinstance(delta, str):
        return delta
    return str(delta.get("content") or delta.get("text") or "")


def _body(path: str, nonce: str, *, stream: bool) -> dict[str, Any]:
    text = f"What is the capital of Japan? nonce: {nonce}"
    common = {"model": "fast", "stream": stream}
    if path == "/v1/responses":
        return {**common, "input": text, "max_output_tokens": 40}
    return {**common, "messages": [{"role": "user", "content": text}], "max_tokens": 40}


def settings(upstream_url: str, ledger: str) -> dict[str, Any]:
    """A configuration with one model at ``upstream_url``."""
    model = {"model": "f-drip2ms", "price": {"input": "0.27", "output": "0.40"}}
    return {
        "providers": {"acme": {"base_url": upstream_url, "api_key": "k3y"}},
        "provider": "acme",
        "models": {"fast": model},
        "default": "fast",
        "ledger": ledger,
    }
