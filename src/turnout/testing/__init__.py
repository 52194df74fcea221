"""Equipment for tests of routers and plug-ins: an upstream and a proxy that err, and checks."""

from turnout.testing.conformance import CodecFailure, RecordedAnswer, check_codec
from turnout.testing.invoice import InvoiceEntry, RecordedRequest
from turnout.testing.proxy import FaultProxy, Toxics
from turnout.testing.server import FaultyUpstream
from turnout.testing.serving import Served, serving

__all__ = [
    "CodecFailure",
    "FaultProxy",
    "FaultyUpstream",
    "InvoiceEntry",
    "RecordedAnswer",
    "RecordedRequest",
    "Served",
    "Toxics",
    "check_codec",
    "serving",
]
