"""Whether a draft may be the answer: a schema, log-probabilities, one's own tests, another model.

Invariant: a verdict that cannot be had is a no, and nothing of the draft has left for the caller.
This module does not know policies.
"""

import asyncio
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import structs

from turnout.core import Bound, Chunk, ConfigError, Message, Request
from turnout.core.budget import NO_BOUNDS
from turnout.core.extras import needing
from turnout.runtime.means import Draft, Means, ToolCall, Verdict

# Whoever verifies a draft gets its conversation and its text, and says whether it may be served.
Check = Callable[[Sequence[Message], str], bool]


class _Free:
    """What verifiers without a call of their own share."""

    def asks(self, request: Request) -> Request:
        """The request as it is."""
        return request

    def ceiling(self, prompt_tokens: int, answer_tokens: int) -> Mapping[str, Bound]:
        """Nothing."""
        del prompt_tokens, answer_tokens
        return NO_BOUNDS


class BySchema(_Free):
    """The answer is JSON where the request asks for it, and fits its schema; tool calls fit theirs.

    ``schema`` is asked of every answer in text besides. Raises ConfigError without jsonschema-rs,
    and where the schema is none.
    """

    def __init__(self, schema: Mapping[str, Any] | None = None) -> None:
        with needing("schema", "verifying by schema needs jsonschema-rs"):
            import jsonschema_rs
        self._library: Any = jsonschema_rs
        self._schema = schema
        if schema is not None:
            try:
                self._library.validator_for(schema, offline=True)
            except (ValueError, self._library.ReferencingError) as error:
                raise ConfigError(_first_line(error)) from error

    async def verdict(self, draft: Draft, decision_id: str, means: Means) -> Verdict:
        """The first thing that does not fit."""
        del decision_id, means
        return Verdict(rejection=next(self._misfits(draft), None))

    def _misfits(self, draft: Draft) -> Iterator[str]:
        if draft.tool_calls:
            wanted = dict(_tools(draft.request))
            for call in draft.tool_calls:
                if call.name not in wanted:
                    yield f"calls {call.name!r}, which is not offered"
                else:
                    yield from self._misfit(call.arguments or "{}", wanted[call.name])
            return
        for schema in (_response_schema(draft.request), self._schema):
            if schema is not None:
                yield from self._misfit(draft.text, schema)

    def _misfit(self, text: str, schema: Mapping[str, Any]) -> Iterator[str]:
        try:
            value = json.loads(text)
        except ValueError:
            yield "not JSON"
            return
        lib = self._library
        try:
            # Offline: a schema comes from the caller and must not make us fetch. Linear patterns:
            # it must not make us hang either.
            lib.validate(schema, value, offline=True, pattern_options=lib.RegexOptions())
        except (ValueError, lib.ReferencingError) as error:
            yield f"does not fit its schema: {_first_line(error)}"


class ByLogprobs(_Free):
    """The answer's tokens were, in the geometric mean, at least so probable.

    Source: the sequence confidence of Gupta et al., Language Model Cascades, arXiv 2404.10136.
    """

    def __init__(self, at_least: float) -> None:
        self._at_least = at_least

    def asks(self, request: Request) -> Request:
        """The request with log-probabilities."""
        return structs.replace(request, body={**request.body, "logprobs": True})

    async def verdict(self, draft: Draft, decision_id: str, means: Means) -> Verdict:
        """Too low a mean, or none at all, is a no."""
        del decision_id, means
        if not draft.logprobs:
            return Verdict(rejection="the provider told no log-probabilities")
        mean = math.exp(sum(draft.logprobs) / len(draft.logprobs))
        if mean >= self._at_least:
            return Verdict(rejection=None)
        return Verdict(rejection=f"its tokens' mean probability is {mean:.2f}")


class ByFunction(_Free):
    """One's own check says yes within ``deadline_s``; it runs in a thread."""

    def __init__(self, check: Check, deadline_s: float) -> None:
        self._check = check
        self._deadline_s = deadline_s

    async def verdict(self, draft: Draft, decision_id: str, means: Means) -> Verdict:
        """A no, an exception and a deadline passed all reject."""
        del decision_id, means
        try:
            async with asyncio.timeout(self._deadline_s):
                passed = await asyncio.to_thread(self._check, draft.request.messages, draft.text)
        except TimeoutError:
            return Verdict(rejection=f"no verdict within {self._deadline_s:g} s")
        except Exception as error:  # noqa: BLE001 -- whatever a check raises, the draft failed it
            return Verdict(rejection=f"the check failed: {type(error).__name__}")
        return Verdict(rejection=None if passed is True else "the check says no")


def draft_of(request: Request, chunks: Sequence[Chunk]) -> Draft:
    """The first choice of an answer, whole or in chunks."""
    deltas = [d for chunk in chunks for d in chunk.deltas if d.choice == 0]
    names: dict[int, str] = {}
    arguments: dict[int, str] = {}
    for piece in (piece for delta in deltas for piece in delta.tool_calls):
        names[piece.index] = piece.name or names.get(piece.index, "")
        arguments[piece.index] = arguments.get(piece.index, "") + piece.arguments
    return Draft(
        request=request,
        text="".join(delta.text for delta in deltas),
        tool_calls=tuple(ToolCall(name=names[i], arguments=arguments[i]) for i in sorted(names)),
        logprobs=tuple(p for chunk in chunks for p in _logprobs(chunk.raw)),
    )


def as_asked(request: Request, chunk: Chunk) -> Chunk:
    """The chunk without the log-probabilities that only the verifier wanted."""
    if request.body.get("logprobs") or "choices" not in chunk.raw:
        return chunk
    choices = [{k: v for k, v in c.items() if k != "logprobs"} for c in chunk.raw["choices"]]
    return structs.replace(chunk, raw={**chunk.raw, "choices": choices})


def _logprobs(raw: Mapping[str, Any]) -> Iterator[float]:
    for choice in raw.get("choices") or ():
        told = choice.get("logprobs") if choice.get("index", 0) == 0 else None
        for token in (told or {}).get("content") or ():
            value = token.get("logprob") if isinstance(token, Mapping) else None
            if isinstance(value, int | float):
                yield float(value)


def _tools(request: Request) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each offered tool's name and the schema of its arguments."""
    offered = [tool.get("function") for tool in request.tools]
    for function in [*offered, *(request.body.get("functions") or ())]:
        if isinstance(function, Mapping):
            yield str(function.get("name")), function.get("parameters") or {}


def _response_schema(request: Request) -> Mapping[str, Any] | None:
    wanted = request.body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        return (wanted.get("json_schema") or {}).get("schema") or {}
    return {"type": "object"} if wanted.get("type") == "json_object" else None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
