"""Which hosts are this machine, and which serve OpenAI's models."""

from functools import lru_cache
from urllib.parse import urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
OPENAI = "api.openai.com"
_AT_AZURE = ".openai.azure.com"


@lru_cache(maxsize=256)
def host_of(base_url: str) -> str:
    """The host of a URL; empty where it has none."""
    return urlsplit(base_url).hostname or ""


def is_openai(base_url: str) -> bool:
    """Whether the URL is OpenAI's own API or Azure's."""
    host = host_of(base_url)
    return host == OPENAI or host.endswith(_AT_AZURE)
