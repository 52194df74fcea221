"""Reads what a provider says that it charged for a call, in the usage of its answer.

Invariant: an amount that may leave a part of the cost out is none. This module does not know
prices, nor which providers can be believed.
Source: openrouter.ai/docs/use-cases/usage-accounting.
"""

from collections.abc import Mapping
from typing import Any

from turnout.core import pico_from_usd

# Far above any call; sums of such amounts still fit into a ledger's 64 bits.
_MOST_USD = 10_000


def stated_pico_usd(answer: Mapping[str, Any]) -> int | None:
    """The stated cost of the call in pico-dollars; None where the answer does not tell all of it.

    With a key of the caller's own (``is_byok``), ``cost`` is the fee alone, and the provider behind
    takes ``upstream_inference_cost`` beside it. Without such a key the two are the same charge. An
    own key is assumed where nothing is said.
    """
    usage = answer.get("usage") or _inner(answer, "response").get("usage")
    if not isinstance(usage, Mapping):
        return None
    charged = _amount(usage.get("cost"))
    if charged is None or usage.get("is_byok") is False:
        return charged
    # A zero here may only mean that it is not known.
    upstream = _amount(_inner(usage, "cost_details").get("upstream_inference_cost"))
    return charged + upstream if upstream else None


def _inner(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    inner = value.get(name)
    return inner if isinstance(inner, Mapping) else {}


def _amount(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Infinities and what is no number are not in the range.
    return pico_from_usd(str(value)) if 0 <= value <= _MOST_USD else None
