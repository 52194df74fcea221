"""The headers that say who calls, of answers and of lists alike.

Invariant: what a provider's configuration says wins, whatever the case of its names.
This module does not know requests.
"""

from collections.abc import Mapping

from turnout.catalog import Provider

_VERSION = {"anthropic-version": "2023-06-01"}


def calling(provider: Provider, more: Mapping[str, str]) -> dict[str, str]:
    """``more`` with the key as the provider's family is told it, and the provider's own headers."""
    key = provider.api_key
    if provider.family == "anthropic":
        headers = {**more, **_VERSION, **({"x-api-key": key} if key else {})}
    else:
        headers = {**more, **({"Authorization": f"Bearer {key}"} if key else {})}
    if not provider.headers:
        return headers
    own = {name.lower() for name in provider.headers}
    kept = {name: value for name, value in headers.items() if name.lower() not in own}
    return {**kept, **provider.headers}
