"""What of a request its model was not told, for the caller to read in a header.

Invariant: what went on in the caller's own words left nothing out but what its codec says.
"""

from collections.abc import Callable, Iterable, Sequence

from turnout.core import Body
from turnout.gateway.dialects import messages_unsaid, responses_unsaid
from turnout.runtime import Walk

_UNSAID: dict[str, Callable[[Body], Iterable[str]]] = {
    "messages": messages_unsaid.unsaid,
    "responses": responses_unsaid.unsaid,
}


def left_out(walk: Walk) -> Sequence[str]:
    """The fields that the model which answers, or was to answer, did not hear of."""
    call, request = walk.call, walk.request
    if call is None or not call.translated or request.native is None:
        return walk.left_out
    return sorted({*walk.left_out, *_UNSAID[request.dialect](request.native)})
