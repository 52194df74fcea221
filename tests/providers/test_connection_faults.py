"""The border at which the failures of a connection become faults."""

import socket
import ssl

import pytest

from turnout.providers import connecting, http1, target, transport
from turnout.providers.connection_faults import RULES, fault_of

CLASSES = [
    *(
        found
        for module in (connecting, http1, target, transport)
        for found in vars(module).values()
        if isinstance(found, type)
        and issubclass(found, Exception)
        and found.__module__ == module.__name__
    ),
    ssl.SSLError,
    ssl.SSLCertVerificationError,
    socket.gaierror,
    ConnectionResetError,
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_exception_of_the_client_has_a_rule(kind: type[BaseException]) -> None:
    """A class that is added later turns this test red instead of passing unclassified."""
    assert any(c.__name__ in RULES for c in kind.__mro__)


def test_every_rule_names_a_class_that_exists() -> None:
    """No rule is left over from an older client."""
    assert set(RULES) <= {c.__name__ for kind in CLASSES for c in kind.__mro__}


def test_the_operating_systems_words_are_used() -> None:
    """Reasons are the ones people know from elsewhere."""
    fault = fault_of(ConnectionResetError(104, "ignored"), "h:1")
    assert fault.detail == "the connection to h:1 was lost: Connection reset by peer"
    assert (fault.kind, fault.retry) == ("unavailable", "transient")


def test_a_lost_connection_within_an_answer_is_an_interruption() -> None:
    """The same loss means something else once the answer had begun."""
    assert fault_of(ConnectionResetError(104, "x"), "h:1", in_body=True).kind == "interrupted"


def test_details_are_one_line() -> None:
    """A reason of several lines is cut to its first."""
    fault = fault_of(http1.BrokenHttp("a\nb"), "h:1")
    assert "\n" not in fault.detail
