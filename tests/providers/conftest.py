"""What tests of providers start from: a real upstream, a transport, and patient properties."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import HealthCheck, settings

from turnout.providers import HttpTransport
from turnout.testing import FaultyUpstream

# A busy machine makes an example slow, which says nothing about the code.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture
async def upstream() -> AsyncIterator[FaultyUpstream]:
    """An upstream on the test's own event loop."""
    async with FaultyUpstream() as running:
        yield running


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    """A transport that is closed after the test."""
    made = HttpTransport()
    yield made
    await made.aclose()
