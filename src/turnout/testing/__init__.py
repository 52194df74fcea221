"""Equipment for tests of routers and plug-ins: a faulty upstream and conformance checks."""

from turnout.testing.conformance import CodecFailure, RecordedAnswer, check_codec
from turnout.testing.invoice import InvoiceEntry, RecordedRequest
from turnout.testing.server import FaultyUpstream

__all__ = [
    "CodecFailure",
    "FaultyUpstream",
    "InvoiceEntry",
    "RecordedAnswer",
    "RecordedRequest",
    "check_codec",
]
