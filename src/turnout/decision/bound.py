"""The most that one call can use, in tokens and in money: what a budget must have room for.

Invariant: no call uses more, if its provider keeps to the limits that it states for its models.
This module does not know budgets.
"""

import math
from collections.abc import Iterable

from turnout.catalog import Deployment, ModelCard
from turnout.core import Bound, Features, Request

# Providers add a few tokens of their own to a prompt: an eighth of it and 64 are allowed for them.
_MARGIN_SHARE, _MARGIN_TOKENS = 8, 64


def input_tokens(features: Features, deployment: Deployment) -> int:
    """The prompt's tokens as the deployment's model counts them, rounded up."""
    card = deployment.card
    counted = features.input_tokens[card.tokenizer]
    return counted if card.token_factor == 1 else math.ceil(counted * card.token_factor)


def answer_room(prompt: int, card: ModelCard) -> int:
    """The most tokens that the model can write behind a prompt of so many."""
    room, most = card.context_window - prompt, card.max_output
    if room <= 0:
        return 0
    return most if most and most < room else room


def lowered_cap(cap: int, prompt: int, card: ModelCard) -> int:
    """A cap on an answer as the model takes it behind a prompt of so many tokens."""
    most = answer_room(prompt, card)
    if cap <= most:
        return cap
    room = card.context_window - prompt - _margin(prompt)
    return max(1, min(most, max(most // 2, room)))


def _margin(prompt: int) -> int:
    return prompt // _MARGIN_SHARE + _MARGIN_TOKENS


def bound(request: Request, features: Features, deployment: Deployment) -> Bound:
    """The most that one call can use, answers as long as the caller's cap and the model allow."""
    return bounds_at([deployment], request, features)[deployment.id]


def bounds_at(
    deployments: Iterable[Deployment], request: Request, features: Features
) -> dict[str, Bound]:
    """The most that a call to each deployment can use."""
    own_cap, choices, unseen = request.max_output_tokens, request.choices, features.uncounted
    found: dict[str, Bound] = {}
    for deployment in deployments:
        card, more = deployment.card, unseen
        counted = input_tokens(features, deployment)
        prompt = counted + _margin(counted)
        if features.searches != 0 and deployment.bills_searches:
            more = None  # the length of what a search finds is unknown, too
        if more != 0:
            # A provider takes no more than fits the window, whatever a file holds.
            window = max(prompt, card.context_window)
            prompt = window if more is None else min(window, prompt + more)
        room = answer_room(counted, card) if card.kind == "chat" else 0
        cap = own_cap or deployment.default_max_tokens
        answers = (cap if cap and cap < room else room) * choices
        price = deployment.price_for(features)
        if price is not None and features.hour_cache:
            price = deployment.hour_cache_price(price)
        cost = None if price is None else price.most_cost(prompt, answers)
        found[deployment.id] = Bound(cost, prompt + answers)
    return found
