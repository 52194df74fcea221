"""Answers of Responses that are kept for a day, for the callers who got them.

Invariant: what is kept opens only with its caller's own key and the answer's id, and the key is not
stored; where callers have no key it never leaves this process. This module does not know dialects.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from turnout.gateway.access import ANYONE, given_key
from turnout.gateway.arrival import Arrival
from turnout.gateway.body import Refused
from turnout.gateway.digest import digest
from turnout.gateway.problem import bad_request
from turnout.gateway.sealed import Answer, seal, sealing_key, unseal
from turnout.runtime import LocalReplays, Replays

MOST_BYTES = 4 * 2**20  # bytes of one answer with its input
LONGEST_BYTES = 32 * 2**20  # bytes of all that one request builds on
# What a process keeps by itself, from callers who need no key.
_LOCAL_BYTES, _LOCAL_ANSWERS = 32 * 2**20, 4_000


class KeptAnswers:
    """Where answers are kept; ``stored`` returns the ledger's store, if any."""

    def __init__(self, stored: "Callable[[], Replays | None]") -> None:
        self._stored = stored
        self._local = LocalReplays(_LOCAL_BYTES, _LOCAL_ANSWERS)

    def of(self, arrival: Arrival) -> "CallersAnswers":
        """Those of the request's caller."""
        is_local = arrival.caller is ANYONE
        return CallersAnswers(self._local if is_local else self._stored() or self._local, arrival)


class CallersAnswers:
    """The answers that one caller may name, by their ids and by the ids of their items."""

    def __init__(self, replays: Replays, arrival: Arrival) -> None:
        self._replays = replays
        self._caller = [arrival.caller.tenant, arrival.caller.key]
        self._key = given_key(arrival.headers)
        self._loaded: dict[str, dict[str, Any] | None] = {}
        self._bytes = 0

    async def get(self, ident: str) -> dict[str, Any] | None:
        """What was kept under this id. Raises RouterError, or Refused if it is too large."""
        if ident not in self._loaded:
            name, key = self._place(ident)
            sealed = await self._replays.find(name)
            self._loaded[ident] = None
            answer = await asyncio.to_thread(unseal, sealed, key) if sealed is not None else None
            if answer is not None:
                self._bytes += len(answer.body)
                self._loaded[ident] = orjson.loads(answer.body)
        if self._bytes > LONGEST_BYTES:
            raise Refused(bad_request("the conversation is too long to be kept; begin another one"))
        return self._loaded[ident]

    async def put(self, ident: str, record: Mapping[str, Any]) -> bool:
        """Keeps it, unless it is too large. Returns whether it is kept. Raises RouterError."""
        body = orjson.dumps(record)
        if len(body) > MOST_BYTES:
            return False
        name, key = self._place(ident)
        answer = Answer(status=200, headers=[], body=body, stream=False)
        await self._replays.put(name, await asyncio.to_thread(seal, answer, key))
        return True

    async def remove(self, ident: str) -> None:
        """Keeps it no longer. Raises RouterError."""
        await self._replays.remove(self._place(ident)[0])

    def _place(self, ident: str) -> tuple[str, bytes]:
        """The name under which it is stored, and the key that seals it."""
        key = sealing_key(self._key, f"answer {ident}".encode())
        return digest([*self._caller, "answer", key.hex()]).hex(), key
