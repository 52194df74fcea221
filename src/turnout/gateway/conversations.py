"""Answers of Responses that a later request names instead of repeating them.

OpenAI keeps every answer unless it is told ``store: false``, and its clients rely on it: they send
``previous_response_id``, or a reference in place of an item. So answers are kept for a day, and a
request that names some is completed before anything reads it.

Invariant: what is kept opens only with its caller's own key and the answer's id, and the key is not
stored; where callers have no key it never leaves this process. This module does not know dialects.
"""

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from turnout.core import RouterError
from turnout.gateway.access import ANYONE, given_key
from turnout.gateway.arrival import Arrival, Handler, ReadJson
from turnout.gateway.body import Refused
from turnout.gateway.digest import digest
from turnout.gateway.exchange import Exchange
from turnout.gateway.problem import Problem, bad_request
from turnout.gateway.recording_exchange import RecordingExchange
from turnout.gateway.sealed import Answer, seal, sealing_key, unseal
from turnout.runtime import Claim, LocalReplays, Replays

_LOG = logging.getLogger("turnout.gateway")
_PREVIOUS, _REFERENCE = "previous_response_id", "item_reference"
_ENDED = ("completed", "incomplete")
# Items that Turnout wrote are told apart by two digits behind what their answer is called.
_OWN_ITEM = re.compile(r"[a-z]+_([0-9a-f]{24})\d\d")
MOST_BYTES = 4 * 2**20  # bytes of one answer with its input
LONGEST_BYTES = 32 * 2**20  # bytes of all that one request builds on
# What a process keeps by itself, from callers who need no key.
_LOCAL_BYTES, _LOCAL_ANSWERS = 32 * 2**20, 4_000


class Conversations:
    """Handles requests that name earlier answers; ``stored`` returns the ledger's store, if any."""

    def __init__(self, stored: "Callable[[], Replays | None]", read: ReadJson) -> None:
        self._stored = stored
        self._read = read
        self._local = LocalReplays(_LOCAL_BYTES, _LOCAL_ANSWERS)

    def wrap(self, handler: Handler, *, keeps: bool = True) -> Handler:
        """The handler of a request that may name answers and, where it ``keeps``, be named."""

        async def handle(arrival: Arrival, out: Exchange) -> None:
            payload = await self._read(arrival)
            if isinstance(payload, dict):
                answers = _StoredAnswers(self._replays(arrival), arrival)
                arrival.payload, new_items = await _with_history(payload, answers)
                arrival.follows = payload.get(_PREVIOUS)
                if keeps and payload.get("store") is not False:
                    before = payload.get(_PREVIOUS)
                    out = RecordingExchange(
                        out, partial(_keep, answers, {"before": before, "input": new_items})
                    )
            await handler(arrival, out)

        return handle

    def _replays(self, arrival: Arrival) -> Replays:
        return self._local if arrival.caller is ANYONE else self._stored() or self._local


class _StoredAnswers:
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
            claim, key = self._claim(ident)
            sealed = await self._replays.find(claim.id)
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
        claim, key = self._claim(ident)
        if len(body) > MOST_BYTES:
            return False
        if await self._replays.claim(claim) is None:
            answer = Answer(status=200, headers=[], body=body, stream=False)
            await self._replays.keep(claim, await asyncio.to_thread(seal, answer, key))
        return True

    def _claim(self, ident: str) -> tuple[Claim, bytes]:
        key = sealing_key(self._key, f"answer {ident}".encode())
        name = digest([*self._caller, "answer", key.hex()]).hex()
        return Claim(id=name, fingerprint="", token=secrets.token_hex(16)), key


async def _with_history(
    payload: dict[str, Any], answers: _StoredAnswers
) -> tuple[dict[str, Any], list[Any]]:
    """The request with the items that it names, and its own new items. Raises Refused."""
    given = payload.get("input")
    new_items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    new_items = (
        [await _resolved_item(item, answers) for item in new_items]
        if isinstance(new_items, list)
        else []
    )
    whole = {**payload, "input": new_items} if isinstance(given, list) else payload
    previous = payload.get(_PREVIOUS)
    if previous is not None and not isinstance(previous, str):
        raise Refused(_mistyped(previous))
    if previous:
        whole = {**payload, "input": [*await _history(previous, answers), *new_items]}
        del whole[_PREVIOUS]
    return whole, new_items


async def _resolved_item(item: object, answers: _StoredAnswers) -> object:
    """The item that a reference stands for, if it is known; any other item as it is."""
    if not isinstance(item, dict) or item.get("type") != _REFERENCE:
        return item
    ident = str(item.get("id"))
    match = _OWN_ITEM.fullmatch(ident)
    record = await answers.get(f"resp_{match[1]}" if match else ident)
    outputs = record["output"] if record else []
    return next((output for output in outputs if output.get("id") == ident), item)


async def _history(ident: str, answers: _StoredAnswers) -> list[Any]:
    """All items up to this answer, its own included. Raises Refused."""
    turns: list[list[Any]] = []
    current: str | None = ident
    while current:
        record = await answers.get(current)
        if record is None or "input" not in record:
            raise Refused(_not_stored(current))
        turns.append([*record["input"], *record["output"]])
        current = record["before"]
    return [item for turn in reversed(turns) for item in turn]


def _not_stored(ident: str) -> Problem:
    message = (
        f"{_PREVIOUS} leads to {ident[:100]!r}, which is not kept here (any more); send the whole "
        "input, and store: false where the client has such a setting"
    )
    return replace(bad_request(message, code="previous_response_not_found"), param=_PREVIOUS)


def _mistyped(value: object) -> Problem:
    message = f"{_PREVIOUS} is {value!r:.100}; use the id of an answer, as text"
    return replace(bad_request(message), param=_PREVIOUS)


async def _keep(
    answers: _StoredAnswers, request: Mapping[str, Any], answer: Answer, end: bytes
) -> bytes:
    """Keeps a finished answer; if that fails, the caller still gets it.

    Returns its last bytes, which say whether it is stored.
    """
    response = _response_in(answer)
    if response.get("status") not in _ENDED:
        return end
    output = [item for item in response["output"] if isinstance(item, dict)]
    records = {str(response.get("id")): {**request, "output": output}}
    for item in output:
        if not _OWN_ITEM.fullmatch(str(item.get("id"))):
            records[str(item.get("id"))] = {"output": [item]}
    try:
        kept = [await asyncio.shield(answers.put(*record)) for record in records.items()]
    except RouterError as error:
        _LOG.error("an answer could not be kept", extra={"fields": {"problem": str(error)}})
        kept = [False]
    return end if kept[0] else _marked_unstored(end, stream=answer.stream)


def _response_in(answer: Answer) -> dict[str, Any]:
    """The finished response, whole or in its stream's last event; None if there is none."""
    if answer.status != 200:
        return {}
    if not answer.stream:
        return dict(orjson.loads(answer.body))
    return dict(orjson.loads(_split_last_event(answer.body)[1]).get("response") or {})


def _marked_unstored(end: bytes, *, stream: bool) -> bytes:
    """The end of an answer that says it is stored, changed since it is not."""
    if not stream:
        return orjson.dumps({**orjson.loads(end), "store": False})
    before, last = _split_last_event(end)
    event = orjson.loads(last)
    event["response"]["store"] = False
    return b"%b%b\n\n" % (before, orjson.dumps(event))


def _split_last_event(stream: bytes) -> tuple[bytes, bytes]:
    """What comes before the last event's data, and that data, which has no line end within."""
    start = stream.rindex(b"\ndata: ") + len(b"\ndata: ")
    return stream[:start], stream[start:]
