"""The APIs that callers speak. Each is a pure codec to and from the internal stream of chunks."""

from turnout.gateway.dialects.chat import Chat
from turnout.gateway.dialects.detect import dialect_of
from turnout.gateway.dialects.embeddings import Embeddings
from turnout.gateway.dialects.messages import Messages
from turnout.gateway.dialects.protocol import About, ApiDialect, Inbound, StreamWriter
from turnout.gateway.dialects.responses import Responses

__all__ = [
    "About",
    "ApiDialect",
    "Chat",
    "Embeddings",
    "Inbound",
    "Messages",
    "Responses",
    "StreamWriter",
    "dialect_of",
]
