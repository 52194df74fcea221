"""OpenAI's Responses: the request read, whole answers and errors written.

Invariant: a whole answer is what its stream would have ended with; one that came in this form
passes as it is, but for its model and the caller's own metadata.
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
    """``POST /v1/responses``, without state: what names earlier answers was completed before."""

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
