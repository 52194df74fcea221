"""A real HTTP server for OpenAI's chat and Responses and Anthropic's Messages; fails on command.

Invariant: an honest model name gets an honest answer; everything that happens is on the invoice.
This module does not know routers.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from turnout.testing import anthropic_wire, responses_wire
from turnout.testing.answers import Answer, answer, nonce_of, prompt_tokens
from turnout.testing.http1 import Exchange, PeerGone
from turnout.testing.invoice import InvoiceEntry, RecordedRequest, usage_object
from turnout.testing.local_server import LocalServer
from turnout.testing.playback import Playback, Wire
from turnout.testing.prompt_cache import PromptCache
from turnout.testing.refusals import refusal, unsupported_setting
from turnout.testing.script import HONEST, Script, parse
from turnout.testing.vectors import embedding_answer

MESSAGES_PATH = "/v1/messages"
RESPONSES_PATH = "/v1/responses"
EMBEDDINGS_PATH = "/v1/embeddings"
_JSON = {"Content-Type": "application/json"}
_POST_PATHS = frozenset({"/v1/chat/completions", MESSAGES_PATH, RESPONSES_PATH, EMBEDDINGS_PATH})
_SHAPES = {
    MESSAGES_PATH: anthropic_wire.chat_shape,
    RESPONSES_PATH: responses_wire.chat_shape,
}
# The errors of reading a body with a value of a wrong type.
_MISTYPED = (ValueError, KeyError, TypeError, AttributeError, IndexError)
_Vectors = tuple[dict[str, Any], int]
_REFUSAL_FLAGS = frozenset({"quota", "spend", "context", "filter", "unsupported", "echokey"})


class FaultyUpstream(LocalServer):
    """The server, as ``with`` (in a thread of its own) or ``async with`` (on the running loop).

    ``scripts`` maps honest model names to fault names, and may be changed while it runs;
    ``replies`` maps model names to the text they answer with, ``certainty`` to the probability of
    each of their tokens (1 by default).
    ``invoice`` holds an entry for each chat call and ``requests`` everything that arrived, both in
    order. With ``api_key`` set, other keys are refused with 401.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        scripts: Mapping[str, str] | None = None,
        replies: Mapping[str, str] | None = None,
        certainty: Mapping[str, float] | None = None,
        models: tuple[str, ...] = ("acme/small", "acme/large"),
        api_key: str | None = None,
    ) -> None:
        super().__init__(port)
        self.scripts: dict[str, str] = dict(scripts or {})
        self.replies: dict[str, str] = dict(replies or {})
        self.certainty: dict[str, float] = dict(certainty or {})
        self.models = models
        self.invoice: list[InvoiceEntry] = []
        self.requests: list[RecordedRequest] = []
        self.open_connections = 0
        self._api_key = api_key
        self._calls: dict[str, int] = {}
        self._cache = PromptCache()

    def entries(self, model: str) -> list[InvoiceEntry]:
        """The invoice's entries for one model."""
        return [entry for entry in self.invoice if entry.model == model]

    async def _serve_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.open_connections += 1
        exchange = Exchange(reader, writer)
        try:
            while (request := await exchange.read_request()) is not None:
                self.requests.append(request)
                if not await self._answer(request, exchange):
                    break
        except (PeerGone, ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the peer or the test is gone, so there is nowhere to report it
        finally:
            self.open_connections -= 1
            await exchange.close()

    async def _answer(self, request: RecordedRequest, exchange: Exchange) -> bool:
        """Answers one request; returns whether the connection may be used for another."""
        if self._api_key is not None and not self._has_key(request):
            await exchange.whole(*refusal(Script(status=401), request.headers))
        elif request.path.partition("?")[0] == "/v1/models":
            models = [{"id": m, "object": "model", "owned_by": "turnout"} for m in self.models]
            models_list = {"object": "list", "data": models}
            await exchange.whole(200, _JSON, json.dumps(models_list).encode())
        elif request.path in _POST_PATHS and request.method == "POST":
            return await self._chat(request, exchange)
        else:
            await _send_error(exchange, 404, f"no such path: {request.path}")
        return True

    def _has_key(self, request: RecordedRequest) -> bool:
        keys = (request.headers.get("authorization"), request.headers.get("x-api-key"))
        return f"Bearer {self._api_key}" in keys or self._api_key in keys

    async def _chat(self, request: RecordedRequest, exchange: Exchange) -> bool:
        try:
            body, script, setting_error, reply = self._read_request(request)
        except _MISTYPED as error:
            await _send_error(exchange, 400, str(error) or type(error).__name__)
            return True
        entry = self._new_entry(request, body)
        if script.status is not None or script.flags & _REFUSAL_FLAGS:
            return await _send_refusal(
                exchange, entry, refusal(script, request.headers), script.slow_s
            )
        if setting_error is not None:
            refused = json.dumps({"error": setting_error}).encode()
            return await _send_refusal(exchange, entry, (400, _JSON, refused), script.slow_s)
        entry.prompt_tokens = _billed_prompt(script, body)
        if "cached" in script:
            entry.cached_tokens = entry.prompt_tokens // 2
        elif "keeps" in script:
            marked = request.path == MESSAGES_PATH
            entry.cached_tokens, entry.written_tokens = self._cache.read_and_written(
                body, marked=marked
            )
        if not isinstance(reply, Answer):
            return await _embed(exchange, entry, script, reply)
        wire = _wire(request.path, entry, body)
        playback = Playback(
            exchange,
            entry,
            script,
            reply,
            include_usage=wire is not None or _wants_usage(body),
            wire=wire,
        )
        return await playback.play()

    def _read_request(
        self, request: RecordedRequest
    ) -> tuple[dict[str, Any], Script, dict[str, Any] | None, "Answer | _Vectors"]:
        """The body, its script, the error object if any, and the answer. Raises _MISTYPED."""
        body = request.json()
        if request.path in _SHAPES:
            body = _SHAPES[request.path](body)
        script = self._script(body["model"])
        _wants_usage(body)
        if request.path == EMBEDDINGS_PATH:
            return body, script, None, embedding_answer(body)
        reply = self._model_answer(script, body, nonce_of(body, request.headers))
        return body, script, unsupported_setting(script, body), reply

    def _new_entry(self, request: RecordedRequest, body: Mapping[str, Any]) -> InvoiceEntry:
        """A new entry of the invoice."""
        entry = InvoiceEntry(
            request_id=request.headers.get("x-request-id", ""),
            nonce=nonce_of(body, request.headers),
            model=body["model"],
            stream=bool(body.get("stream")),
            started_s=time.monotonic(),
        )
        self.invoice.append(entry)
        return entry

    def _model_answer(self, script: Script, body: Mapping[str, Any], nonce: str) -> Answer:
        """The model's answer, as long as the script lets it be."""
        reply = answer(
            body,
            nonce,
            length=script.tokens,
            reason="reason" in script,
            text=self.replies.get(body["model"]),
            parallel="parallel" in script,
        )
        if not body.get("logprobs"):
            return reply
        return replace(reply, certainty=self.certainty.get(body["model"], 1.0))

    def _script(self, model: str) -> Script:
        script = parse(self.scripts.get(model, model))
        calls = self._calls[model] = self._calls.get(model, 0) + 1
        return HONEST if script.fails is not None and calls > script.fails else script


def _wire(path: str, entry: InvoiceEntry, body: Mapping[str, Any]) -> Wire | None:
    """The wire form of answers on this path, if it is not chat's."""
    if path == MESSAGES_PATH:
        return anthropic_wire.AnthropicWire(usage_object(entry, frozenset()) or {})
    return responses_wire.ResponsesWire(body["native"]) if path == RESPONSES_PATH else None


def _billed_prompt(script: Script, body: Mapping[str, Any]) -> int:
    """Prompt tokens, 0 where the script never gets to work."""
    without_work = {"hang", "html200", "redirect", "gzipbomb"} & script.flags
    return 0 if without_work or script.at.get("reset") == 0 else prompt_tokens(body)


def _wants_usage(body: Mapping[str, Any]) -> bool:
    return bool((body.get("stream_options") or {}).get("include_usage"))


async def _send_refusal(
    exchange: Exchange, entry: InvoiceEntry, error: tuple[int, dict[str, str], bytes], slow_s: float
) -> bool:
    try:
        if slow_s:
            await exchange.wait(slow_s)
        entry.status, headers, body = error
        await exchange.whole(entry.status, headers, body)
    finally:  # also if the peer is gone
        entry.ended_s = time.monotonic()
    return True


async def _embed(
    exchange: Exchange, entry: InvoiceEntry, script: Script, answer_and_tokens: "_Vectors"
) -> bool:
    if script.slow_s:
        await exchange.wait(script.slow_s)
    vectors, entry.prompt_tokens = answer_and_tokens
    if "reversed" in script:
        vectors["data"].reverse()
    if "fewer" in script:
        vectors["data"].pop()
    if "nousage" not in script:
        tokens = {"prompt_tokens": entry.prompt_tokens, "total_tokens": entry.prompt_tokens}
        vectors["usage"], entry.usage_sent = tokens, True
    data = json.dumps(vectors).encode()
    sent = data[: len(data) // 2] if "halfjson" in script else data
    entry.status, entry.finished = 200, True
    await exchange.whole(200, _JSON, sent)
    entry.ended_s = time.monotonic()
    return True


async def _send_error(exchange: Exchange, status: int, message: str) -> None:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    await exchange.whole(status, _JSON, json.dumps({"error": error}).encode())
