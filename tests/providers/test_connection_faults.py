"""The border at which the HTTP client's exceptions become faults."""

import aiohttp
import pytest
from aiohttp import http_exceptions

from turnout.providers.connection_faults import RULES, fault_of


def family(base: type[BaseException]) -> list[type[BaseException]]:
    """The class and all that inherit from it."""
    return [base, *(found for child in base.__subclasses__() for found in family(child))]


CLASSES = [
    *(c for c in family(aiohttp.ClientError) if c is not aiohttp.ClientError),
    *family(http_exceptions.HttpProcessingError),
]


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_exception_of_the_client_has_a_rule(kind: type[BaseException]) -> None:
    """A class the client adds later turns this test red instead of passing unclassified."""
    names = [c.__name__ for c in kind.__mro__]
    assert any(name in RULES for name in names if name not in ("OSError", "ValueError"))


def test_every_rule_names_a_class_that_exists() -> None:
    """No rule is left over from an older client."""
    known = {c.__name__ for c in CLASSES} | {"OSError", "ValueError"}
    assert set(RULES) <= known


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
    fault = fault_of(aiohttp.ClientPayloadError("a\nb"), "h:1")
    assert "\n" not in fault.detail
