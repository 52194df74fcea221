"""Equipment for tests of routers and plug-ins: an upstream and a proxy that err, and checks."""

from turnout.testing.choosing import (
    ClassifierFailure,
    PolicyFailure,
    check_classifier,
    check_policy,
)
from turnout.testing.conformance import CodecFailure, RecordedAnswer, check_codec
from turnout.testing.invoice import InvoiceEntry, RecordedRequest
from turnout.testing.proxy import FaultProxy, Toxics
from turnout.testing.server import FaultyUpstream
from turnout.testing.serving import Served, serving

__all__ = [
    "ClassifierFailure",
    "CodecFailure",
    "FaultProxy",
    "FaultyUpstream",
    "InvoiceEntry",
    "PolicyFailure",
    "RecordedAnswer",
    "RecordedRequest",
    "Served",
    "Toxics",
    "check_classifier",
    "check_codec",
    "check_policy",
    "serving",
]
