"""Providers: pure wire codecs, the one door to the network, and the model in the process."""

from turnout.providers.embedded import EmbeddedTransport
from turnout.providers.openai_chat import OpenAIChatCodec
from turnout.providers.protocol import (
    Codec,
    Timeouts,
    Transport,
    TransportError,
    WireRequest,
    WireResponse,
    read_all,
)
from turnout.providers.transport import HttpTransport
from turnout.providers.weights import Weights

__all__ = [
    "Codec",
    "EmbeddedTransport",
    "HttpTransport",
    "OpenAIChatCodec",
    "Timeouts",
    "Transport",
    "TransportError",
    "Weights",
    "WireRequest",
    "WireResponse",
    "read_all",
]
