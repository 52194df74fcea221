"""Providers: pure wire codecs and the one door to the network."""

from turnout.providers.openai_chat import OpenAIChatCodec
from turnout.providers.protocol import (
    Codec,
    StreamDecoder,
    Timeouts,
    Transport,
    TransportError,
    WireRequest,
    WireResponse,
)
from turnout.providers.transport import HttpTransport

__all__ = [
    "Codec",
    "HttpTransport",
    "OpenAIChatCodec",
    "StreamDecoder",
    "Timeouts",
    "Transport",
    "TransportError",
    "WireRequest",
    "WireResponse",
]
