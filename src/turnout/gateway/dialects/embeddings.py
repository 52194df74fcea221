"""OpenAI's embeddings: reads requests, writes vectors and errors.

Source: platform.openai.com/docs/api-reference/embeddings. Invariant: unknown fields pass through
in both directions. This module does not know connections or providers.
"""

from typing import Any

import orjson

from turnout.core import Chunk, Dialect, InvalidRequest, asked_models, json_object
from turnout.core.vectors import in_encoding
from turnout.gateway.dialects.chat import OpenAIDialect
from turnout.gateway.dialects.protocol import About, Inbound, StreamWriter

MOST_INPUTS = 2048
_FORMS = ("float", "base64")


class Embeddings(OpenAIDialect):
    """``POST /v1/embeddings``."""

    name: Dialect = "embeddings"

    def read(self, payload: object) -> Inbound:
        """The request; without ``model`` the default model answers. Raises InvalidRequest."""
        body = dict(json_object(payload))
        if body.pop("stream", None):
            raise InvalidRequest("embeddings are not streamed; leave stream out", field="stream")
        _check_input(body.get("input"))
        _check_size(body.get("dimensions"))
        form = body.get("encoding_format")
        if form is not None and form not in _FORMS:
            raise InvalidRequest(
                f"encoding_format is {form!r}; use one of {', '.join(_FORMS)}",
                field="encoding_format",
            )
        model, others = asked_models(body.pop("model", None), body.pop("models", None))
        if others:
            raise InvalidRequest(
                "models names several models, whose vectors cannot be compared; give one model",
                field="models",
            )
        return Inbound(body=body, model=model, stream=False)

    def whole(self, chunk: Chunk, about: About) -> bytes:
        """A list of embeddings, in the form that the caller asked for."""
        form = about.inbound.body.get("encoding_format") or "float"
        data = [in_encoding(item, form) for item in chunk.raw["data"]]
        tokens = chunk.usage.total_input if chunk.usage else 0
        usage = chunk.raw.get("usage") or {"prompt_tokens": tokens, "total_tokens": tokens}
        body = {"object": "list", **chunk.raw, "data": data, "usage": usage}
        return orjson.dumps({**body, "model": chunk.model or about.model})

    def writer(self, about: About) -> StreamWriter:
        """Embeddings are never streamed."""
        raise NotImplementedError


def _check_input(value: Any) -> None:
    """Raises InvalidRequest unless it is text, a list of tokens or a list of these, not empty."""
    is_several = isinstance(value, list) and value and not all(map(_is_whole, value))
    inputs = value if is_several else [value]
    if len(inputs) > MOST_INPUTS:
        raise InvalidRequest(
            f"input has {len(inputs)} items; send at most {MOST_INPUTS} at a time", field="input"
        )
    for place, item in enumerate(inputs):
        tokens = isinstance(item, list) and item and all(map(_is_whole, item))
        if not tokens and not (isinstance(item, str) and item):
            where = "input" if item is value else f"input[{place}]"
            raise InvalidRequest(
                f"{where} must be a text or a list of token ids, and not empty", field=where
            )


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_size(value: object) -> None:
    if value is not None and not (_is_whole(value) and value):
        raise InvalidRequest(
            f"dimensions is {value!r}; use a whole number of at least 1", field="dimensions"
        )
