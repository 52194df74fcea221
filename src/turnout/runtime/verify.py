"""Verifiers of drafts: by a schema, by log-probabilities, by a function; see ``judge`` for a model.

Invariant: a draft without a verdict is rejected. This module does not know policies.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import structs

from turnout.core import Bound, Chunk, ConfigError, Message, Request
from turnout.core.budget import NO_BOUNDS
from turnout.core.extras import requiring_extra
from turnout.runtime.means import Draft, Means, ToolCall, Verdict
from turnout.runtime.offload import run_apart

# A function that is given a conversation and a draft's text, and says whether it may be served.
Check = Callable[[Sequence[Message], str], bool]


class _WithoutCalls:
    """What verifiers that make no call have in common."""

    def draft_request(self, request: Request) -> Request:
        """The request as it is."""
        return request

    def verdict_bounds(self, prompt_tokens: int, answer_tokens: int) -> Mapping[str, Bound]:
        """Nothing."""
        del prompt_tokens, answer_tokens
        return NO_BOUNDS


class BySchema(_WithoutCalls):
    """The answer fits the request's JSON schema, if it has one, and tool calls fit theirs.

    Every answer in text must fit ``schema`` as well. Raises ConfigError without jsonschema-rs, and
    for a schema that is not valid.
    """

    def __init__(self, schema: Mapping[str, Any] | None = None) -> None:
        with requiring_extra("schema", "verifying by schema needs jsonschema-rs"):
            import jsonschema_rs
        self._library: Any = jsonschema_rs
        self._schema = schema
        if schema is not None:
            try:
                self._library.validator_for(schema, offline=True)
            except (ValueError, self._library.ReferencingError) as error:
                raise ConfigError(_first_line(error)) from error

    async def verdict(self, draft: Draft, decision_id: str, means: Means) -> Verdict:
        """Rejects for the first thing that does not fit."""
        del decision_id, means
        return Verdict(rejection=next(self._problems(draft), None))

    def _problems(self, draft: Draft) -> Iterator[str]:
        if draft.tool_calls:
            schemas = dict(_tools(draft.request))
            for call in draft.tool_calls:
                if call.name not in schemas:
                    yield "calls a tool that is not offered"
                else:
                    yield from self._schema_problems(call.arguments or "{}", schemas[call.name])
            return
        for schema in (_response_schema(draft.request), self._schema):
            if schema is not None:
                yield from self._schema_problems(draft.text, schema)

    def _schema_problems(self, text: str, schema: Mapping[str, Any]) -> Iterator[str]:
        try:
            value = json.loads(text)
        except ValueError:
            yield "not JSON"
            return
        lib = self._library
        try:
            # A schema comes from the caller: it must not make us fetch anything, nor hang in a
            # pattern that backtracks.
            lib.validate(schema, value, offline=True, pattern_options=lib.RegexOptions())
        except lib.ValidationError as error:
            # Its text quotes the draft, of which nothing may leave.
            yield f"does not fit its schema at {'/'.join(map(str, error.schema_path))}"
        except (ValueError, lib.ReferencingError) as error:
            yield f"does not fit its schema: {_first_line(error)}"


class ByLogprobs(_WithoutCalls):
    """The geometric mean of the probabilities of the answer's tokens is at least so high.

    Source: the sequence confidence of Gupta et al., Language Model Cascades, arXiv 2404.10136.
    """

    def __init__(self, at_least: float) -> None:
        self._at_least = at_least

    def draft_request(self, request: Request) -> Request:
        """The request with log-probabilities."""
        return structs.replace(request, body={**request.body, "logprobs": True})

    async def verdict(self, draft: Draft, decision_id: str, means: Means) -> Verdict:
        """Rejects for too low a mean, and without log-probabilities."""
        del decision_id, means
        if not draft.logprobs:
            return Verdict(rejection="the provider returned no log-probabilities")
        mean = math.exp(sum(draft.logprobs) / len(draft.logprobs))
        if mean >= self._at_least:
            return Verdict(rejection=None)
        return Verdict(rejection=f"its tokens' mean probability is {mean:.2f}")


class ByFunction(_WithoutCalls):
    """A function of the user's own, run on a thread, returns True within ``deadline_s`` seconds.

    ``name`` is that of the function. If it is late several times in a row, it is not asked.
    """

    def __init__(self, name: str, check: Check, deadline_s: float) -> None:
        self._name = name
        self._check = check
        self._deadline_s = deadline_s

    async def verdict(self, draft: Draft, decision_id: str, means: Means) -> Verdict:
        """Rejects unless the function returns True in time."""
        del decision_id
        checked = self._checked(draft)
        try:
            return await means.lateness.in_time("verifier", self._name, self._deadline_s, checked)
        except TimeoutError:
            return Verdict(rejection=f"no verdict within {self._deadline_s:g} s")

    async def _checked(self, draft: Draft) -> Verdict:
        try:
            passed = await run_apart(self._check, draft.request.messages, draft.text)
        except Exception as error:  # noqa: BLE001 -- whatever a check raises, the draft failed it
            return Verdict(rejection=f"the check failed: {type(error).__name__}")
        return Verdict(rejection=None if passed is True else "the check says no")


def draft_of(request: Request, chunks: Sequence[Chunk]) -> Draft:
    """The first choice of an answer as a draft."""
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


def without_added_logprobs(request: Request, chunk: Chunk) -> Chunk:
    """The chunk without the log-probabilities that only the verifier wanted."""
    if request.body.get("logprobs") or "choices" not in chunk.raw:
        return chunk
    choices = [{k: v for k, v in c.items() if k != "logprobs"} for c in chunk.raw["choices"]]
    return structs.replace(chunk, raw={**chunk.raw, "choices": choices})


def _logprobs(raw: Mapping[str, Any]) -> Iterator[float]:
    for choice in raw.get("choices") or ():
        logprobs = choice.get("logprobs") if choice.get("index", 0) == 0 else None
        for token in (logprobs or {}).get("content") or ():
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
    response_format = request.body.get("response_format") or {}
    if response_format.get("type") == "json_schema":
        return (response_format.get("json_schema") or {}).get("schema") or {}
    return {"type": "object"} if response_format.get("type") == "json_object" else None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
