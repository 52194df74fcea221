"""A drop-in for the OpenAI client's chat completions: change the import, keep the code.

Only ``chat.completions.create`` exists; anything else fails with an error that says so.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from turnout.core import ConfigError, Decision, InvalidRequest
from turnout.runtime import BlockingStream, Receipt, Reply, Router, Stream

# Fields that are None in the OpenAI client's objects if the answer leaves them out.
# Source: platform.openai.com/docs/api-reference/chat (object, streaming).
_OPTIONAL = frozenset({
    "audio", "annotations", "completion_tokens_details", "content", "finish_reason",
    "function_call", "logprobs", "prompt_tokens_details", "refusal", "role", "service_tier",
    "system_fingerprint", "tool_calls", "usage",
    "accepted_prediction_tokens", "audio_tokens", "cached_tokens", "reasoning_tokens",
    "rejected_prediction_tokens", "id", "type", "function", "name", "arguments",
})  # fmt: skip


# The classes of values by which OpenAI's package says that an argument is not given.
_NOT_GIVEN = ("NotGiven", "Omit")
# Arguments of the OpenAI client's method that are for the client itself.
_CLIENT_ARGUMENTS = ("timeout", "extra_headers", "extra_query")

C = TypeVar("C")
S = TypeVar("S", bound=BlockingStream | Stream)


class Record(dict[str, Any]):
    """A JSON object whose fields are attributes too, as the OpenAI client's objects have them."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            if name in _OPTIONAL:
                return None
            raise AttributeError(f"the answer has no field {name!r}") from None

    def model_dump(
        self, *, mode: str = "python", exclude_none: bool = False, exclude_unset: bool = False
    ) -> dict[str, Any]:
        """The JSON object as a dict; the same for all modes, without unset fields."""
        del mode, exclude_unset
        found: dict[str, Any] = _plain(self, exclude_none=exclude_none)
        return found

    def model_dump_json(self, *, indent: int | None = None, exclude_none: bool = False) -> str:
        """The JSON object as text."""
        return json.dumps(self.model_dump(exclude_none=exclude_none), indent=indent)


class Completion(Record):
    """A chat completion; ``decision``, ``receipt`` and ``left_out`` are attributes, not fields."""

    decision: Decision
    receipt: Receipt
    left_out: tuple[str, ...]


class _Unsupported:
    """Raises a clear error for any attribute that the drop-in does not have."""

    _path = "turnout.OpenAI"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"{self._path}.{name} does not exist: the drop-in has only chat.completions.create; "
            "use the provider's own client for the rest"
        )


class OpenAI(_Unsupported):
    """``client.chat.completions.create(model="auto", messages=[...])``, routed.

    It uses ``router``, else a router of ``config``, else ``Router.from_env()``. ``api_key`` and
    ``base_url`` are refused: providers and keys come from the configuration. Raises ConfigError.
    """

    def __init__(
        self, *, router: Router | None = None, config: str | Path | None = None, **others: object
    ) -> None:
        self.router = _router(router, config, others)
        self.chat = _Chat(_Completions(self.router))

    def close(self) -> None:
        """Close every connection."""
        self.router.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class AsyncOpenAI(_Unsupported):
    """``OpenAI`` for ``await``, with the same arguments and errors."""

    _path = "turnout.AsyncOpenAI"

    def __init__(
        self, *, router: Router | None = None, config: str | Path | None = None, **others: object
    ) -> None:
        self.router = _router(router, config, others)
        self.chat = _Chat(_AsyncCompletions(self.router))

    async def close(self) -> None:
        """Close every connection."""
        await self.router.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()


class _Chat(_Unsupported, Generic[C]):
    _path = "chat"

    def __init__(self, completions: C) -> None:
        self.completions = completions


class _Completions(_Unsupported):
    _path = "chat.completions"

    def __init__(self, router: Router) -> None:
        self._router = router

    def create(self, **body: Any) -> Any:
        """A chat completion, or an iterator of its chunks with ``stream=True``.

        A completion has ``decision``, ``receipt`` and ``left_out`` beside OpenAI's fields, a stream
        ``decision`` and, once it is over, ``reply``. Raises RouterError.
        """
        body = _given(body)
        if _wants_stream(body):
            return Chunks(self._router.chat(_body(body), stream=True))
        return _completion(self._router.chat(_body(body)))


class _AsyncCompletions(_Unsupported):
    _path = "chat.completions"

    def __init__(self, router: Router) -> None:
        self._router = router

    async def create(self, **body: Any) -> Any:
        """A chat completion, or an asynchronous iterator of its chunks with ``stream=True``.

        A completion has ``decision``, ``receipt`` and ``left_out`` beside OpenAI's fields, a stream
        ``decision`` and, once it is over, ``reply``. Raises RouterError.
        """
        body = _given(body)
        if _wants_stream(body):
            return AsyncChunks(await self._router.achat(_body(body), stream=True))
        return _completion(await self._router.achat(_body(body)))


class _StreamBase(Generic[S]):
    def __init__(self, stream: S) -> None:
        self.decision = stream.decision
        self._stream = stream

    @property
    def reply(self) -> Reply:
        """The whole answer and its account, complete once the stream is over."""
        return self._stream.reply


class Chunks(_StreamBase[BlockingStream]):
    """A streamed answer: an iterator of its chunks, and a context that ends the stream."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return _record(next(iter(self._stream)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the answer and free its connection."""
        self._stream.close()


class AsyncChunks(_StreamBase[Stream]):
    """``Chunks`` for ``await``."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        return _record(await anext(self._stream))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop the answer and free its connection."""
        await self._stream.aclose()


def _router(router: object, config: str | Path | None, others: Mapping[str, object]) -> Router:
    if others:
        raise ConfigError(
            f"{', '.join(others)}: not taken here, since providers and their keys come from "
            "turnout.yaml; leave it out, or give router or config"
        )
    if router is None:
        return Router.from_env() if config in (None, "") else Router.from_file(config)
    if not isinstance(router, Router):
        kind = type(router).__name__
        raise ConfigError(f"router has the type {kind}; give a turnout.Router, or leave it out")
    if config is not None:
        raise ConfigError("router and config are both given; a router has its own, leave one out")
    return router


def _given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {n: v for n, v in arguments.items() if type(v).__name__ not in _NOT_GIVEN}


def _wants_stream(body: Mapping[str, Any]) -> bool:
    stream = body.get("stream", False)
    if stream not in (None, True, False):
        raise InvalidRequest(f"stream is {stream!r}; use true or false", field="stream")
    return bool(stream)


def _body(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that belong in the body. Raises InvalidRequest for the client's own."""
    if refused := [name for name in _CLIENT_ARGUMENTS if arguments.get(name) is not None]:
        raise InvalidRequest(
            f"{', '.join(refused)}: not taken here, since deadlines and headers are those of "
            "turnout.yaml; leave it out",
            field=refused[0],
        )
    excluded = {"stream", "extra_body", *_CLIENT_ARGUMENTS}
    body = {name: value for name, value in arguments.items() if name not in excluded}
    return body | dict(arguments.get("extra_body") or {})


def _completion(reply: Reply) -> Completion:
    found = Completion({name: _record(value) for name, value in reply.body.items()})
    found.decision, found.receipt, found.left_out = reply.decision, reply.receipt, reply.left_out
    return found


def _plain(value: Any, *, exclude_none: bool) -> Any:
    if isinstance(value, Mapping):
        kept = {k: v for k, v in value.items() if v is not None or not exclude_none}
        return {k: _plain(v, exclude_none=exclude_none) for k, v in kept.items()}
    if isinstance(value, list):
        return [_plain(one, exclude_none=exclude_none) for one in value]
    return value


def _record(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Record({k: _record(v) for k, v in value.items()})
    if isinstance(value, list | tuple):
        return [_record(v) for v in value]
    return value
