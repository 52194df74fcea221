"""Providers: pure wire codecs and the one door to the network."""

from turnout.providers.protocol import (
    Codec,
    StreamDecoder,
    Timeouts,
    Transport,
    TransportError,
    WireRequest,
    WireResponse,
)

__all__ = [
    "Codec",
    "StreamDecoder",
    "Timeouts",
    "Transport",
    "TransportError",
    "WireRequest",
    "WireResponse",
]
