"""Pages of lists, as OpenAI's and Anthropic's APIs have them. This module does not know HTTP."""

from collections.abc import Mapping, Sequence
from typing import Any

from turnout.core import InvalidRequest

Listed = Sequence[Mapping[str, Any]]


def page_of(
    listed: Listed,
    query: Mapping[str, str],
    *,
    after: str,
    before: str,
    most: int,
    usual: int | None = None,
) -> dict[str, Any]:
    """The list object with the part that the query's ``limit``, ``after`` and ``before`` ask for.

    These two are named by the arguments. A limit is at most ``most``; without one, ``usual`` are
    listed, or all that are left. Raises InvalidRequest.
    """
    ids = [entry["id"] for entry in listed]
    first, last = query.get(after), query.get(before)
    if first is not None and last is not None:
        raise InvalidRequest(f"send {after} or {before}, not both", field=before)
    begin, end = 0, len(ids)
    if first is not None:
        begin = _place(ids, after, first) + 1
    if last is not None:
        end = _place(ids, before, last)
    limit = _limit(query["limit"], most) if "limit" in query else usual or len(ids)
    has_more = end - begin > limit
    if last is None:
        end = min(end, begin + limit)
    else:
        begin = max(begin, end - limit)
    return list_object(listed[begin:end], has_more=has_more)


def list_object(listed: Listed, *, has_more: bool = False) -> dict[str, Any]:
    """A list in OpenAI's format and in Anthropic's at once."""
    first, last = (listed[0]["id"], listed[-1]["id"]) if listed else (None, None)
    ends = {"first_id": first, "last_id": last}
    return {"object": "list", "data": listed, "has_more": has_more, **ends}


def _place(ids: Sequence[str], field: str, ident: str) -> int:
    if ident not in ids:
        raise InvalidRequest(f"{field} is {ident[:70]!r}, which is not in the list", field=field)
    return ids.index(ident)


def _limit(text: str, most: int) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) < 5
    if not (is_number and 1 <= int(text) <= most):
        raise InvalidRequest(
            f"limit is {text[:40]!r}; use a whole number from 1 to {most}", field="limit"
        )
    return int(text)
