"""Answers of Responses that a later request names instead of repeating them.

OpenAI keeps every answer unless it is told ``store: false``, and its clients rely on it: they send
``previous_response_id``, or a reference in place of an item. So answers are kept for a day, and a
request that names some is completed before anything reads it.

Invariant: who has an answer's last bytes can name it, unless they say that it is not stored.
This module does not know dialects or storage.
"""

import asyncio
import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import orjson

from turnout.core import RouterError
from turnout.gateway.arrival import Arrival, Handler, ReadJson
from turnout.gateway.body import Refused
from turnout.gateway.exchange import Exchange
from turnout.gateway.kept_answers import CallersAnswers, KeptAnswers
from turnout.gateway.problem import Problem, bad_request
from turnout.gateway.recording_exchange import RecordingExchange
from turnout.gateway.sealed import Answer

_LOG = logging.getLogger("turnout.gateway")
_PREVIOUS, _REFERENCE = "previous_response_id", "item_reference"
_ENDED = ("completed", "incomplete")
# Items that Turnout wrote are told apart by two digits behind what their answer is called.
_OWN_ITEM = re.compile(r"[a-z]+_([0-9a-f]{24})\d\d")


class Turn(NamedTuple):
    """A kept answer: its id, the items that its request brought, and those that it consists of."""

    id: str
    input: list[Any]
    output: list[Any]


class NotKept(Refused):
    """The answer ``ident``, on which the one asked for stands, is not kept (any more)."""

    def __init__(self, ident: str, asked: str) -> None:
        super().__init__(_not_kept(ident, asked))
        self.ident = ident


class Conversations:
    """Handles requests that name earlier answers."""

    def __init__(self, kept: KeptAnswers, read: ReadJson) -> None:
        self._kept = kept
        self._read = read

    def wrap(self, handler: Handler, *, keeps: bool = True) -> Handler:
        """The handler of a request that may name answers and, where it ``keeps``, be named."""

        async def handle(arrival: Arrival, out: Exchange) -> None:
            payload = await self._read(arrival)
            if isinstance(payload, dict):
                answers = self._kept.of(arrival)
                arrival.payload, new_items = await _with_history(payload, answers)
                arrival.follows = payload.get(_PREVIOUS)
                if keeps and payload.get("store") is not False:
                    before = payload.get(_PREVIOUS)
                    out = RecordingExchange(
                        out, partial(_keep, answers, {"before": before, "input": new_items})
                    )
            await handler(arrival, out)

        return handle


async def turns_to(ident: str, answers: CallersAnswers) -> list[Turn]:
    """All turns up to this answer, the first one first. Raises Refused or RouterError."""
    turns: dict[str, Turn] = {}
    current: str | None = ident
    while current:
        record = await answers.get(current)
        # A provider that gives an id twice makes an answer follow itself.
        if record is None or "input" not in record or current in turns:
            raise NotKept(current, ident)
        turns[current] = Turn(current, record["input"], record["output"])
        current = record["before"]
    return list(turns.values())[::-1]


async def response_kept(ident: str, answers: CallersAnswers) -> dict[str, Any]:
    """The answer as its caller got it. Raises Refused or RouterError."""
    record = await answers.get(ident)
    if record is None or "response" not in record:
        raise NotKept(ident, ident)
    return {**record["response"], "output": record["output"]}


async def forget(ident: str, answers: CallersAnswers) -> None:
    """Keeps the answer and its items no longer. Raises Refused or RouterError."""
    response = await response_kept(ident, answers)
    # The answer last: if one cannot be removed, it can be tried again.
    for name in [*_foreign_items(response["output"]), ident]:
        await answers.remove(name)


async def _with_history(
    payload: dict[str, Any], answers: CallersAnswers
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
        try:
            turns = await turns_to(previous, answers)
        except NotKept as error:
            raise Refused(_not_stored(error.ident)) from error
        history = [item for turn in turns for item in (*turn.input, *turn.output)]
        whole = {**payload, "input": [*history, *new_items]}
        del whole[_PREVIOUS]
    return whole, new_items


async def _resolved_item(item: object, answers: CallersAnswers) -> object:
    """The item that a reference stands for, if it is known; any other item as it is."""
    if not isinstance(item, dict) or item.get("type") != _REFERENCE:
        return item
    ident = str(item.get("id"))
    match = _OWN_ITEM.fullmatch(ident)
    record = await answers.get(f"resp_{match[1]}" if match else ident)
    outputs = record["output"] if record else []
    return next((output for output in outputs if output.get("id") == ident), item)


def _not_kept(ident: str, asked: str) -> Problem:
    kept = (
        "an answer is kept for a day, for the key that asked for it, unless its request said "
        "store: false or it was deleted"
    )
    named = (
        f"{asked[:100]!r} follows {ident[:100]!r}, which" if ident != asked else f"{ident[:100]!r}"
    )
    return bad_request(f"{named} is not kept here (any more): {kept}", status=404, code="not_found")


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
    answers: CallersAnswers, request: Mapping[str, Any], answer: Answer, end: bytes
) -> bytes:
    """Keeps a finished answer; if that fails, the caller still gets it.

    Returns its last bytes, which say whether it is stored.
    """
    response = _response_in(answer)
    if response.get("status") not in _ENDED:
        return end
    ident = str(response.get("id"))
    output = [item for item in response.pop("output", None) or () if isinstance(item, dict)]
    records = {ident: {**request, "output": output, "response": response}}
    records |= {name: {"output": [item]} for name, item in _foreign_items(output).items()}
    puts = [answers.put(*record) for record in records.items()]
    try:
        is_kept, *_ = await asyncio.shield(asyncio.gather(*puts))
    except RouterError as error:
        _LOG.error("an answer could not be kept", extra={"fields": {"problem": str(error)}})
        is_kept = False
    return end if is_kept else _marked_unstored(end, stream=answer.stream)


def _foreign_items(output: list[Any]) -> dict[str, Any]:
    """The items whose ids do not tell which answer they belong to, by these."""
    named = {item["id"]: item for item in output if isinstance(item.get("id"), str)}
    return {ident: item for ident, item in named.items() if not _OWN_ITEM.fullmatch(ident)}


def _response_in(answer: Answer) -> dict[str, Any]:
    """The finished response, whole or in its stream's last event; empty if there is none."""
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
