"""Answers and lists are asked for with the same headers, each name once."""

from collections.abc import Mapping

import pytest

from turnout.catalog import Provider
from turnout.catalog.catalog import Family
from turnout.providers import HttpTransport
from turnout.providers.credentials import with_credentials
from turnout.runtime.known_models import known_models
from turnout.testing import FaultyUpstream


def _provider(family: Family = "openai", key: str | None = "k3y", **own: str) -> Provider:
    url = "http://p.test/v1"
    return Provider(name="p", base_url=url, family=family, api_key=key, headers=own)


@pytest.mark.parametrize(
    ("provider", "headers"),
    [
        (_provider(), {"Authorization": "Bearer k3y"}),
        (_provider("openai-responses"), {"Authorization": "Bearer k3y"}),
        (_provider("anthropic"), {"x-api-key": "k3y", "anthropic-version": "2023-06-01"}),
        (_provider(key=None), {}),
        (_provider("anthropic", None), {"anthropic-version": "2023-06-01"}),
        (_provider(authorization="Token own"), {"authorization": "Token own"}),
    ],
)
def test_each_family_is_told_the_key_in_its_way(
    provider: Provider, headers: Mapping[str, str]
) -> None:
    """And what the configuration says wins, in any case."""
    assert with_credentials(provider, {}) == headers
    assert with_credentials(provider, {"Accept": "a"}) == {"Accept": "a", **headers}


async def test_a_list_is_asked_for_with_the_headers_of_a_call() -> None:
    """As the server sees them."""
    with FaultyUpstream(models=("acme/small",)) as upstream:
        transport = HttpTransport()
        provider = Provider(name="p", base_url=upstream.base_url, api_key="k3y")
        assert await known_models(provider, transport) == ["acme/small"]
        await transport.aclose()
        (seen,) = upstream.requests
    assert seen.headers["authorization"] == "Bearer k3y"
