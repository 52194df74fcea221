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
from turnout.proving.crowd import share
from turnout.proving.report import Check, Shown, judged, unseen

TASKS = 64
LONGEST_STAY_S = 0.02
_ASKS_ABOUT_IDS = 0.02
_NONCE = re.compile(r"n\d+-\d+-x")
_PATHS = ("/v1/chat/completions", "/v1/messages", "/v1/responses")


@dataclass(slots=True)
class Meeting:
    """What was asked, and what arrived that should not have."""

    requests: int = 0
    answered: int = 0
    cancelled: int = 0
    refused: int = 0
    ids_asked: int = 0
    crossed: int = 0
    nameless: int = 0
    foreign: int = 0
    hidden: int = 0
    misfiled: int = 0
    filed: dict[str, int] = field(default_factory=dict)
    known: dict[int, str] = field(default_factory=dict)

    def look(self, nonce: str, text: str, *, whole: bool) -> None:
        """Check an answer, or as much of it as arrived."""
        found = set(_NONCE.findall(text))
        self.crossed += bool(found - {nonce})
        self.nameless += whole and nonce not in found

    def check(self, store: Store, tenants: Sequence[str]) -> Check:
        """The verdict, once the ledger has been compared."""
        for request_id, tenant in store.fetch("SELECT request_id, tenant FROM requests"):
            asked = self.filed.get(request_id)
            self.misfiled += asked is not None and tenants[asked] != tenant
        wrong = {
            "crossed replies": self.crossed,
            "replies without their nonce": self.nameless,
            "foreign ids answered": self.foreign,
            "own ids refused": self.hidden,
            "filed under another tenant": self.misfiled,
        }
        return judged(
            "isolation", wrong, tenants=len(tenants), requests=self.requests,
            acknowledged=self.answered, cancelled=self.cancelled, refused=self.refused,
            ids_asked=self.ids_asked,
        )  # fmt: skip


async def meet(
    base_url: str,
    keys: Sequence[str],
    requests: int,
    cancelled: float,
    seed: int,
    shown: Shown = unseen,
) -> Meeting:
    """``requests`` by the owners of ``keys``; the share ``cancelled`` disconnects early."""
    meeting = Meeting()
    connector = aiohttp.TCPConnector(limit=2 * TASKS)
    async with aiohttp.ClientSession(base_url, connector=connector) as session:

        async def one(number: int) -> None:
            chance = random.Random(f"{seed} {number}")
            leaves = chance.random() < cancelled
            await _one(session, keys, number, chance, meeting, leaves=leaves)
            shown(number)

        await share(range(requests), one, TASKS)
    return meeting


async def _one(
    session: aiohttp.ClientSession,
    keys: Sequence[str],
    number: int,
    chance: random.Random,
    meeting: Meeting,
    *,
    leaves: bool,
) -> None:
    tenant = chance.randrange(len(keys))
    nonce, path = f"n{tenant}-{number}-x", chance.choice(_PATHS)
    body = _body(path, nonce, stream=chance.random() < 0.5)
    headers = {"x-api-key": keys[tenant]}
    meeting.requests += 1
    received: list[bytes] = []
    whole = False
    with suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(chance.uniform(0, LONGEST_STAY_S) if leaves else 60):
            async with session.post(path, json=body, headers=headers) as response:
                meeting.filed[response.headers["x-request-id"]] = tenant
                async for piece in response.content.iter_any():
                    received.append(piece)  # noqa: PERF401 -- what came before a leave counts
                whole = response.status == 200
                meeting.refused += response.status != 200
                if decision := response.headers.get("x-turnout-decision"):
                    meeting.known[tenant] = decision
    meeting.answered += whole
    meeting.cancelled += not whole
    meeting.look(nonce, _text(b"".join(received)), whole=whole)
    if chance.random() < _ASKS_ABOUT_IDS:
        await _ask_about_ids(session, keys, tenant, meeting)


async def _ask_about_ids(
    session: aiohttp.ClientSession, keys: Sequence[str], owner: int, meeting: Meeting
) -> None:
    """A decision's own tenant may read and judge it; another tenant gets a 404."""
    decision = meeting.known.get(owner)
    if decision is None:
        return
    judged_as = {"decision_id": decision, "metric": "good", "value": 1}
    for asks in (owner, (owner + 1) % len(keys)):
        headers = {"x-api-key": keys[asks]}
        async with session.get(f"/v1/decisions/{decision}", headers=headers) as response:
            statuses = [response.status]
        async with session.post("/v1/feedback", json=judged_as, headers=headers) as response:
            statuses.append(response.status)
        meeting.ids_asked += 1
        if asks == owner:
            meeting.hidden += statuses != [200, 200]
        else:
            meeting.foreign += statuses != [404, 404]


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
