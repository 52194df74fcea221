"""Kept answers of Responses, to be fetched, listed with their input, and deleted.

Invariant: no model is asked, and nothing is charged. This module does not know storage.
"""

from dataclasses import replace

from turnout.core import InvalidRequest
from turnout.gateway.arrival import Arrival, Routes, query_of, send_json
from turnout.gateway.body import Refused
from turnout.gateway.conversations import forget, response_kept, turns_to
from turnout.gateway.dialects import ApiDialect
from turnout.gateway.dialects.responses_input import listed_items
from turnout.gateway.exchange import Exchange
from turnout.gateway.kept_answers import KeptAnswers
from turnout.gateway.page import page_of
from turnout.gateway.problem import bad_request

MOST_ITEMS, USUAL_ITEMS = 100, 20
ORDERS = ("asc", "desc")
_ONE = "/v1/responses/{id}"
_NO_STREAM = replace(
    bad_request("an answer that is kept is not streamed again; leave stream out"), param="stream"
)
_NO_CANCEL = bad_request(
    "this answer is finished, since none runs in the background here; to stop one, close the "
    "connection of its request"
)


class StoredResponses:
    """The handlers of the paths below ``/v1/responses/``."""

    def __init__(self, kept: KeptAnswers) -> None:
        self._kept = kept

    def routes(self, dialect: ApiDialect) -> Routes:
        """The paths and what answers them."""
        return {
            ("GET", _ONE): (dialect, self._retrieve),
            ("DELETE", _ONE): (dialect, self._delete),
            ("GET", f"{_ONE}/input_items"): (dialect, self._input_items),
            ("POST", f"{_ONE}/cancel"): (dialect, self._cancel),
        }

    async def _retrieve(self, arrival: Arrival, out: Exchange) -> None:
        if query_of(out).get("stream", "false") != "false":
            raise Refused(_NO_STREAM)
        await send_json(out, await response_kept(arrival.ident, self._kept.of(arrival)))

    async def _delete(self, arrival: Arrival, out: Exchange) -> None:
        await forget(arrival.ident, self._kept.of(arrival))
        await send_json(out, {"id": arrival.ident, "object": "response", "deleted": True})

    async def _input_items(self, arrival: Arrival, out: Exchange) -> None:
        query = query_of(out)
        order = query.get("order", "desc")
        if order not in ORDERS:
            message = f"order is {order[:40]!r}; use {' or '.join(ORDERS)}"
            raise InvalidRequest(message, field="order")
        *before, last = await turns_to(arrival.ident, self._kept.of(arrival))
        items = listed_items([*before, last._replace(output=[])])
        page = page_of(
            items if order == "asc" else items[::-1], query, after="after", before="before",
            most=MOST_ITEMS, usual=USUAL_ITEMS,
        )  # fmt: skip
        await send_json(out, page)

    async def _cancel(self, arrival: Arrival, out: Exchange) -> None:
        del out
        await response_kept(arrival.ident, self._kept.of(arrival))
        raise Refused(_NO_CANCEL)
