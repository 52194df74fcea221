"""A router that drafts with a cheap model and escalates to a strong one, at a real local server."""

from typing import Any

from tests.runtime.world import config
from turnout import Router
from turnout.testing import FaultyUpstream

QUALITY = {"fast": 0.6, "coder": 0.5, "strong": 0.9}


def settings(upstream: FaultyUpstream, verify: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The recipe's models with known qualities, under a cascade of two steps."""
    policy = {"name": "cascade", "steps": 2, "verify": verify}
    patient = {"connect_s": 10, "first_token_s": 20, "total_s": 30}
    found = config(upstream, policy=policy, timeouts=patient, qualities=QUALITY, **more)
    found["models"]["judge"] = {
        "model": "acme/judge",
        "price": {"input": "0.10", "output": "0.20"},
        "quality": 0.1,
    }
    return found


def cascade(upstream: FaultyUpstream, verify: dict[str, Any], **more: Any) -> Router:
    """A router over :func:`settings`."""
    return Router.from_config(settings(upstream, verify, **more), environ={})
