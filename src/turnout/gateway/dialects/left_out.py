"""The fields of a request that its model did not get, for a header of the answer.

Invariant: a request that was passed on in its own API lost only what the provider's codec names.
"""

from collections.abc import Callable, Iterable, Sequence

from turnout.core import Body, Request
from turnout.gateway.dialects import messages_lost, responses_lost
from turnout.gateway.dialects.words import word_of
from turnout.runtime import Walk

_LOST_IN_CHAT: dict[str, Callable[[Body], Iterable[str]]] = {
    "messages": messages_lost.lost_in_chat,
    "responses": responses_lost.lost_in_chat,
}


def left_out(walk: Walk) -> Sequence[str]:
    """The fields that the model of the last call did not get, as the caller names them."""
    not_sent, translated = walk.left_out, walk.call is not None and walk.call.translated
    if not (not_sent or translated):
        return ()
    names = {word_of(walk.request, name) for name in not_sent}
    if translated:
        names.update(lost_in_chat(walk.request))
    return sorted(names)


def lost_in_chat(request: Request) -> Iterable[str]:
    """The fields that the translation into chat loses; some more than once."""
    return () if request.native is None else _LOST_IN_CHAT[request.dialect](request.native)
