"""Adds a provider's key and its configured headers to the headers of a request.

Invariant: configured headers replace others of the same name in any case.
This module does not know requests.
"""

from collections.abc import Mapping

from turnout.catalog import Provider

_VERSION = {"anthropic-version": "2023-06-01"}


def with_credentials(provider: Provider, headers: Mapping[str, str]) -> dict[str, str]:
    """``headers`` with the key in the form of the provider's family, and the configured headers."""
    key, found = provider.api_key, dict(headers)
    if provider.family == "anthropic":
        found |= _VERSION
        if key:
            found["x-api-key"] = key
    elif key:
        found["Authorization"] = f"Bearer {key}"
    if not provider.headers:
        return found
    own = {name.lower() for name in provider.headers}
    kept = {name: value for name, value in found.items() if name.lower() not in own}
    return {**kept, **provider.headers}
