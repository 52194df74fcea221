"""Checks that the ledger adds up: structure, links, prices and sums.

Invariant: a sound ledger gives no finding, and a finding names what differs and by how much.
"""

from collections.abc import Iterator
from pathlib import Path

from turnout.core import Usage
from turnout.ledger.pricing import price_from_text
from turnout.ledger.store import Store

_CALLS_A_PAGE = 20_000
_TABLES = ("decisions", "calls", "settlements", "feedback", "events")
_NONE_OF = {
    **{
        f"rows of {table} belong to no request": f"""
        SELECT count(*) FROM {table} AS t LEFT JOIN requests AS r ON r.id = t.id
        LEFT JOIN holds AS h ON h.id = t.id WHERE r.id IS NULL AND h.id IS NULL"""  # noqa: S608 -- constants
        for table in _TABLES
    },
    "calls have a price that is not in prices": """
        SELECT count(*) FROM calls AS c LEFT JOIN prices AS p ON p.id = c.price
        WHERE c.price IS NOT NULL AND p.id IS NULL""",
    "holds are still there after their settlement": """
        SELECT count(*) FROM holds AS h JOIN settlements AS s ON s.id = h.id""",
    "requests are neither held nor settled": """
        SELECT count(*) FROM requests AS r LEFT JOIN settlements AS s ON s.id = r.id
        LEFT JOIN holds AS h ON h.id = r.id WHERE s.id IS NULL AND h.id IS NULL""",
    "requests are settled at another amount than their calls cost": """
        SELECT count(*) FROM (SELECT id, sum(cost) AS cost FROM settlements GROUP BY id) AS s
        LEFT JOIN (SELECT id, sum(coalesce(cost, 0)) AS cost FROM calls GROUP BY id) AS c
        ON c.id = s.id WHERE coalesce(c.cost, 0) <> s.cost""",
}


def verify(store: Store) -> list[str]:
    """Everything that is wrong, a line each. Raises ConfigError for a file that is no ledger."""
    # Sums over a damaged file would only hide where the damage is.
    return list(_structure(store)) or [*_counts(store), *_sums(store), *_prices(store)]


def _structure(store: Store) -> Iterator[str]:
    path = getattr(store, "path", None)
    if isinstance(path, Path) and path.exists():
        from turnout.ledger.sqlite import check_file

        yield from check_file(path)


def _counts(store: Store) -> Iterator[str]:
    for what, sql in _NONE_OF.items():
        if number := _single_value(store, sql):
            yield f"{number} {what}"


def _sums(store: Store) -> Iterator[str]:
    """The hourly sums equal the settlements."""
    settled = _single_value(store, "SELECT coalesce(sum(cost), 0) FROM settlements")
    hourly = _single_value(store, "SELECT coalesce(sum(cost), 0) FROM hourly")
    if settled != hourly:
        yield f"the hourly sums differ from the settlements by {hourly - settled} pico-dollars"
    requests = _single_value(store, "SELECT count(DISTINCT id) FROM settlements")
    counted = _single_value(store, "SELECT coalesce(sum(requests), 0) FROM hourly")
    if requests != counted:
        yield f"the hourly sums count {counted} requests, the settlements {requests}"


def _prices(store: Store) -> Iterator[str]:
    """Every call costs what its tokens cost at the price it names, and what is kept beside them."""
    prices = {
        row[0]: price_from_text(row[1]) for row in store.fetch("SELECT id, rates FROM prices")
    }
    wrong, after = 0, ("", -1)
    while True:
        rows = store.fetch(
            "SELECT c.id, c.n, c.input, c.cache_read, c.cache_write, c.output, c.reasoning, "
            "c.cost - coalesce(b.cost, 0), c.price "
            "FROM calls AS c LEFT JOIN beside_text AS b ON b.id = c.id AND b.n = c.n "
            "WHERE (c.id, c.n) > ($1, $2) AND c.price IS NOT NULL AND c.cost IS NOT NULL "
            "ORDER BY c.id, c.n LIMIT $3",
            (*after, _CALLS_A_PAGE),
        )
        if not rows:
            break
        for *_, tokens_in, read, written, out, thought, cost, price in rows:
            usage = Usage(
                input=tokens_in, cache_read=read, cache_write=written, output=out, reasoning=thought
            )
            wrong += price in prices and prices[price].cost(usage) != cost
        after = rows[-1][0], rows[-1][1]
    if wrong:
        yield f"{wrong} calls cost another amount than their tokens at their price"


def _single_value(store: Store, sql: str) -> int:
    return int(store.fetch(sql)[0][0])
