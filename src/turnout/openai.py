"""A drop-in for the OpenAI client's chat completions: change the import, keep the code.

Only ``chat.completions.create`` exists here; anything else fails with an error that says so.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, Self, TypeVar

from turnout.core import ConfigError, InvalidRequest
from turnout.runtime import BlockingStream, Reply, Router, Stream

# What the OpenAI client's objects have as None where the answer leaves it out.
# Source: platform.openai.com/docs/api-reference/chat (object, streaming).
_OPTIONAL = frozenset({
    "audio", "annotations", "completion_tokens_details", "content", "finish_reason",
    "function_call", "logprobs", "prompt_tokens_details", "refusal", "role", "service_tier",
    "system_fingerprint", "tool_calls", "usage",
    "accepted_prediction_tokens", "audio_tokens", "cached_tokens", "reasoning_tokens",
    "rejected_prediction_tokens", "id", "type", "function", "name", "arguments",
})  # fmt: skip


C = TypeVar("C")


class Record(dict[str, Any]):
    """A JSON object whose fields are attributes too, as the OpenAI client's objects have them."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            if name in _OPTIONAL:
                return None
            raise AttributeError(f"the answer has no field {name!r}") from None

    def model_dump(self) -> dict[str, Any]:
        """The plain JSON object."""
        return dict(self)


class _Lacking:
    """Fails clearly for whatever the drop-in does not have."""

    _path = "turnout.OpenAI"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"{self._path}.{name} does not exist: the drop-in has only chat.completions.create; "
            "use the provider's own client for the rest"
        )


class OpenAI(_Lacking):
    """``client.chat.completions.create(model="auto", messages=[...])``, routed.

    ``router`` or ``config`` say how; without both, ``Router.from_env()`` does. ``api_key`` and
    ``base_url`` are not taken: providers and keys come from the configuration. Raises ConfigError.
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


class AsyncOpenAI(_Lacking):
    """``OpenAI`` for ``await``: of the same arguments and errors."""

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


class _Chat(_Lacking, Generic[C]):
    _path = "chat"

    def __init__(self, completions: C) -> None:
        self.completions = completions


class _Completions(_Lacking):
    _path = "chat.completions"

    def __init__(self, router: Router) -> None:
        self._router = router

    def create(self, **body: Any) -> Any:
        """A chat completion, or an iterator of its chunks with ``stream=True``.

        A completion has ``decision``, ``receipt`` and ``left_out`` beside OpenAI's fields, a stream
        ``decision`` and, once it is over, ``reply``. Raises RouterError.
        """
        if _streamed(body):
            return Chunks(self._router.chat(_without_stream(body), stream=True))
        return _completion(self._router.chat(_without_stream(body)))


class _AsyncCompletions(_Lacking):
    _path = "chat.completions"

    def __init__(self, router: Router) -> None:
        self._router = router

    async def create(self, **body: Any) -> Any:
        """A chat completion, or an asynchronous iterator of its chunks with ``stream=True``.

        A completion has ``decision``, ``receipt`` and ``left_out`` beside OpenAI's fields, a stream
        ``decision`` and, once it is over, ``reply``. Raises RouterError.
        """
        if _streamed(body):
            return AsyncChunks(await self._router.achat(_without_stream(body), stream=True))
        return _completion(await self._router.achat(_without_stream(body)))


class Chunks:
    """A streamed answer: its chunks, or a context in which to read them, that ends the stream."""

    def __init__(self, stream: BlockingStream) -> None:
        self.decision = stream.decision
        self._stream = stream
        self._items = iter(stream)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        return _record(next(self._items))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the answer and free its connection."""
        self._stream.close()

    @property
    def reply(self) -> Reply:
        """The whole answer and its account, complete once the stream is over."""
        return self._stream.reply


class AsyncChunks:
    """``Chunks`` for ``await``."""

    def __init__(self, stream: Stream) -> None:
        self.decision = stream.decision
        self._stream = stream

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

    @property
    def reply(self) -> Reply:
        """The whole answer and its account, complete once the stream is over."""
        return self._stream.reply


def _router(
    router: Router | None, config: str | Path | None, others: Mapping[str, object]
) -> Router:
    if others:
        raise ConfigError(
            f"{', '.join(others)}: not taken here, since providers and their keys come from "
            "turnout.yaml; leave it out, or give router or config"
        )
    return router or (Router.from_file(config) if config else Router.from_env())


def _streamed(body: Mapping[str, Any]) -> bool:
    stream = body.get("stream", False)
    if stream not in (None, True, False):
        raise InvalidRequest(f"stream is {stream!r}; use true or false", field="stream")
    return bool(stream)


def _without_stream(body: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in body.items() if k != "stream"}


def _completion(reply: Reply) -> Any:
    beside = {"decision": reply.decision, "receipt": reply.receipt, "left_out": reply.left_out}
    return _record({**reply.body, **beside})


def _record(value: Any) -> Any:
    if isinstance(value, Mapping):
        return Record({k: _record(v) for k, v in value.items()})
    if isinstance(value, list | tuple):
        return [_record(v) for v in value]
    return value
