"""OpenAI's Responses: the request read, whole answers and errors written.

Invariant: a whole answer is what its stream would have ended with.
This module does not know connections.
"""

from collections.abc import Mapping

import orjson

from turnout.core import Chunk, Dialect, InvalidRequest, check_body
from turnout.gateway.dialects.chat import asked_model, error_object, flag
from turnout.gateway.dialects.protocol import About, Inbound, chat_shaped
from turnout.gateway.dialects.responses_read import chat_body
from turnout.gateway.dialects.responses_stream import ResponsesWriter
from turnout.gateway.problem import Problem


class Responses:
    """``POST /v1/responses``, without state: every request brings its whole input."""

    name: Dialect = "responses"

    def read(self, payload: object) -> Inbound:
        """The request; ``model`` may be left out, which means auto. Raises InvalidRequest."""
        if not isinstance(payload, Mapping):
            raise InvalidRequest("the request body must be a JSON object", field="body")
        with chat_shaped():
            body = check_body(chat_body(payload))
        return Inbound(
            body=body,
            native=payload,
            model=asked_model(payload.get("model")),
            stream=flag(payload.get("stream"), "stream"),
        )

    def whole(self, chunk: Chunk, about: About) -> bytes:
        """A response."""
        writer = self.writer(about)
        writer.write(chunk)
        writer.end()
        return orjson.dumps(writer.snapshot())

    def writer(self, about: About) -> ResponsesWriter:
        """A writer of ``response.created`` … ``response.completed``."""
        return ResponsesWriter(about)

    def error(self, problem: Problem, request_id: str) -> bytes:
        """``{"error": {...}}``."""
        del request_id
        return orjson.dumps({"error": error_object(problem)})
