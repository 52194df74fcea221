"""The wire family of OpenAI's embeddings.

Invariant: pure; the caller's body is forwarded as it is, except for ``model``. An answer has a
vector for each input, in the form that the caller asked for.
Source: platform.openai.com/docs/api-reference/embeddings.
This module does not know connections, clocks or prices.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from msgspec import structs

from turnout.catalog import Deployment
from turnout.core import Chunk, Fault, Request
from turnout.core.vectors import floats_of
from turnout.providers.answer_body import bad_answer
from turnout.providers.families import FamilyCodec
from turnout.providers.fields import Malformed
from turnout.providers.stream_decoder import StreamDecoder
from turnout.providers.usage import openai_usage


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIEmbeddingsCodec(FamilyCodec):
    """The codec."""

    _dialect = "embeddings"
    _path = "embeddings"

    def decoder(self) -> StreamDecoder:
        """Embeddings are never streamed."""
        raise NotImplementedError

    def _body(
        self, request: Request, deployment: Deployment
    ) -> tuple[dict[str, Any], Iterable[str]]:
        return {**request.body, "model": deployment.model}, ()

    def _read(self, payload: object) -> Chunk:
        if not isinstance(payload, dict) or not isinstance(payload.get("data"), list):
            raise Malformed("the answer has no list of embeddings")
        for item in payload["data"]:
            vector = item.get("embedding") if isinstance(item, dict) else None
            if not vector or not isinstance(vector, list | str):
                raise Malformed("an embedding is not a vector")
            _check(vector)
        if not payload["data"]:
            raise Malformed("the answer has no embeddings")
        model = payload.get("model")
        usage = payload.get("usage")
        if isinstance(usage, dict):
            usage = {**usage, "completion_tokens": 0}
        return Chunk(
            usage=openai_usage(usage), model=model if isinstance(model, str) else None, raw=payload
        )


def for_each(answer: Chunk, request: Request) -> Chunk | Fault:
    """The answer with its vectors in the order of the inputs, or the fault of a wrong number."""
    inputs, data = request.body["input"], answer.raw["data"]
    wanted = 1 if isinstance(inputs, str) or isinstance(inputs[0], int) else len(inputs)
    if len(data) != wanted:
        return bad_answer(f"the answer has {len(data)} embeddings for {wanted} inputs")
    indexes = [item.get("index") for item in data]
    places = [index if isinstance(index, int) else None for index in indexes]
    # Some servers give all vectors the same number or none, and send them in order.
    if places == list(range(wanted)) or set(places) != set(range(wanted)):
        return answer
    raw = {**answer.raw, "data": sorted(data, key=lambda item: int(item["index"]))}
    return structs.replace(answer, raw=raw)


def _check(vector: list[object] | str) -> None:
    try:
        numbers = floats_of(vector) if isinstance(vector, str) else vector
    except ValueError as error:
        raise Malformed(str(error)) from error
    if not all(isinstance(n, float | int) for n in numbers):
        raise Malformed("an embedding holds something that is not a number")
