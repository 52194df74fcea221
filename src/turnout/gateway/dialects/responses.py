"""OpenAI's Responses: reads requests, writes whole answers and errors.

Invariant: a whole answer equals the response that its stream would end with. An answer that came
as a Responses object passes unchanged, except for its model and the caller's own fields.
This module does not know connections.
"""

import orjson

from turnout.core import Chunk, Dialect
from turnout.gateway.dialects import responses_items as items
from turnout.gateway.dialects.chat import OpenAIDialect
from turnout.gateway.dialects.protocol import About, Inbound
from turnout.gateway.dialects.reading import inbound
from turnout.gateway.dialects.responses_read import chat_body
from turnout.gateway.dialects.responses_stream import ResponsesWriter


class Responses(OpenAIDialect):
    """``POST /v1/responses``. It keeps no state: earlier answers are already in the body."""

    name: Dialect = "responses"

    def read(self, payload: object) -> Inbound:
        """The request; ``model`` may be left out, which means auto. Raises InvalidRequest."""
        return inbound(payload, chat_body)

    def whole(self, chunk: Chunk, about: About) -> bytes:
        """A response."""
        if chunk.raw.get("object") == "response":
            return orjson.dumps(items.passed(chunk.raw, about, chunk.model or about.model))
        writer = self.writer(about)
        writer.write(chunk)
        writer.end()
        return orjson.dumps(writer.snapshot())

    def writer(self, about: About) -> ResponsesWriter:
        """A writer of ``response.created`` … ``response.completed``."""
        return ResponsesWriter(about)
