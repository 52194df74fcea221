"""What tests of providers start from: a real upstream and a transport."""

from collections.abc import AsyncIterator

import pytest

from turnout.providers import HttpTransport
from turnout.testing import FaultyUpstream


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
