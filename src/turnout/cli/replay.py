"""``turnout replay``: what another configuration would have decided on the recorded requests."""

import time

from turnout.cli.options import (
    ConfigOption,
    JsonOption,
    PlaceOption,
    SinceOption,
    offline_router,
    open_store,
    since_ms_of,
)
from turnout.cli.show import out, print_json, print_table, relative_change, with_progress
from turnout.core import format_usd
from turnout.core.plural import many
from turnout.evaluation.off_policy import Estimate
from turnout.evaluation.redeciding import (
    Comparison,
    Move,
    check_replayable,
    compare,
    decide_again,
    opinions_in,
    total_of,
)

_COLUMNS = ("went to", "would go to", "requests", "cost", "would cost", "change", "why", "example")


def replay(
    *,
    since: SinceOption = None,
    ledger: PlaceOption = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Decide the ledger's requests again, by another configuration.

    Shows which would go to other models, and the difference in cost. No model is called.
    """
    since_ms = since_ms_of(since, time.time_ns() // 1_000_000) or 0
    store = open_store(ledger, config)
    with offline_router(config) as r:
        rules = r.parts.means.rules
        check_replayable(rules)
        again = with_progress(decide_again(store, rules, since_ms), "replay")
        found = compare(again, opinions_in(store))
    if json:
        print_json(found.as_dict())
    else:
        _show(found)


def _show(found: Comparison) -> None:
    total, changed = found.total, total_of(found.changes)
    print_table(
        f"{many(changed.requests, 'request')} of {total.requests:,} would go elsewhere",
        _COLUMNS,
        [*map(_row, found.changes), _row(total)],
    )
    left_out = total.requests - total.compared
    if left_out:
        out.print(
            f"the costs leave out {many(left_out, 'request')}: without an answer, without a known "
            "price, answered by a stand-in, or now beginning with a draft"
        )
    if found.quality_then is not None and found.quality_now is not None:
        out.print(
            f"expected quality {found.quality_then:.3f}, would be {found.quality_now:.3f} "
            f"({many(found.rated, 'request')} with a known one)"
        )
    for one in found.feedback:
        known = f"feedback {one.metric} {one.then:.3f} ({many(one.requests, 'request')})"
        out.print(f"{known}{_would_be(one)}")


def _would_be(one: Estimate) -> str:
    if one.now is None or one.low is None or one.high is None:
        return "; too few of them went where they would go to say what it would be"
    effective = many(round(one.effective), "session")
    return f", would be {one.now:.3f} (95 %: {one.low:.3f} to {one.high:.3f}, as from {effective})"


def _row(move: Move) -> tuple[str, ...]:
    then, now = move.then_pico_usd, move.now_pico_usd
    known = (format_usd(then), format_usd(now), relative_change(now, then))
    return (
        move.then or "all",
        move.now,
        f"{move.requests:,}",
        *(known if move.compared else ("unknown",) * 3),
        move.why,
        move.example,
    )
