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
    if call is None:
        return ()
    found = [*call.left_out, *call.unsaid]
    if call.translated and request.native is not None:
        found += _UNSAID[request.dialect](request.native)
    return sorted(set(found))
