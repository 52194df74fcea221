"""What of a request its model was not told, for the caller to read in a header.

Invariant: what went on in the caller's own words left nothing out but what its codec says.
"""

from collections.abc import Callable, Iterable, Sequence

from turnout.core import Body, Request
from turnout.gateway.dialects import messages_unsaid, responses_unsaid
from turnout.gateway.dialects.words import word_of
from turnout.runtime import Walk

_UNSAID: dict[str, Callable[[Body], Iterable[str]]] = {
    "messages": messages_unsaid.unsaid,
    "responses": responses_unsaid.unsaid,
}


def left_out(walk: Walk) -> Sequence[str]:
    """The fields that the model which answers, or was to answer, did not hear of."""
    if walk.call is None or not walk.call.translated:
        return walk.left_out
    told = (word_of(walk.request, name) for name in walk.left_out)
    return sorted({*told, *lost(walk.request)})


def lost(request: Request) -> Iterable[str]:
    """The fields that a translation of the caller's own words loses; some more than once."""
    return () if request.native is None else _UNSAID[request.dialect](request.native)
