"""Provider texts made fit to be shown: one line, short, and without secrets.

Invariant: a key that a provider echoes never gets past this module.
This module does not know faults.
"""

import re
from collections.abc import Iterable

from turnout.catalog import Provider

MAX_DETAIL = 300
REDACTED = "[redacted]"

_SHORTEST_SECRET = 4
_KEY_SHAPES = re.compile(
    r"""(?ix)
      \b(?:bearer|basic|token)\s+[^\s"'<>,;]{6,}                  # an Authorization value
    | \b(?:x-)?api[-_ ]?key["']?\s*[:=]\s*["']?[^\s"'<>,;&]{4,}    # api_key=…
    | (?<=://)[^/\s@]+(?=@)                                        # user:password in a URL
    | [?&](?:key|token|access_token)=[^\s"'<>&]+                   # a key in a URL
    | \b(?:sk|rk|pk|rc_live|rc_test|xai|gsk|hf|r8|pplx|fw|nvapi|tgp|AKIA|AIza)[-_]?
      (?=[^\s"'<>,;]*[\d*])[A-Za-z0-9*._-]{8,}                     # vendors' prefixes
    | \beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]+)?                          # a JSON web token
    """
)
_BLANKS = re.compile(r"[\s\x00-\x1f\x7f]+")


def secrets_of(provider: Provider) -> frozenset[str]:
    """The provider's key and header values."""
    return frozenset(value for value in (provider.api_key, *provider.headers.values()) if value)


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """``text`` as one short line in which ``secrets`` and all that looks like a key are hidden."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, REDACTED)
    line = _BLANKS.sub(" ", _KEY_SHAPES.sub(REDACTED, text)).strip()
    return line if len(line) <= MAX_DETAIL else line[: MAX_DETAIL - 1] + "…"
