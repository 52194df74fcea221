"""What a configuration decides on an outcome table, by the router that serves; calls no model."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnout.cli.options import offline_router
from turnout.cli.show import err, status_line
from turnout.core import ConfigError, Decision, RequestError
from turnout.core.plural import many, some_of

if TYPE_CHECKING:
    from turnout.evaluation.driver import Replayed
    from turnout.evaluation.outcome_table import OutcomeTable
    from turnout.runtime import Router


def replay_as_served(table: "OutcomeTable", config: Path) -> "Replayed":
    """The table replayed as ``config`` serves: with its policy, intents, safety, prices and limits.

    A prompt that is blocked or refused has no answer, which counts as a score of 0. Raises
    ConfigError if a model of the configuration has no outcomes.
    """
    from turnout.evaluation import replayed

    with offline_router(config) as router, status_line(f"deciding as {config} serves"):
        rules = router.parts.means.rules
        served = rules.catalog.only("chat").deployments.values()
        unknown = sorted({d.model for d in served} - set(table.models))
        if unknown:
            raise ConfigError(
                f"table {table.name} has no outcomes with costs of {some_of(unknown)}, which "
                f"{config} serves; add them, keep models without costs with --unpriced, or serve "
                "others"
            )
        return replayed(table, rules.policy.ref, _decisions(router, table))


def _decisions(router: "Router", table: "OutcomeTable") -> Iterator[Decision | None]:
    blocked, refused = 0, []
    for number, row in enumerate(table.prompts, 1):
        try:
            decision = router.route(_body(row))
        except RequestError as error:
            refused.append(f"row {number} ({row['id']}): {error}")
            yield None
        else:
            blocked += bool(decision.blocked)
            yield decision
    if blocked:
        err.print(f"turnout: served: {many(blocked, 'prompt')} blocked as unsafe: no answer")
    if refused:
        count = many(len(refused), "prompt")
        err.print(f"turnout: served: {count} refused: no answer; the first is {refused[0]}")


def _body(row: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a request for the row: its question or conversation, and its tools."""
    from turnout.features.prompt import row_text
    from turnout.features.tools import parse_tools

    text, functions = row_text(row)
    messages = row.get("messages")
    if row.get("query") or row.get("prompt") or not messages:
        messages = [{"role": "user", "content": text}]
    tools = [{"type": "function", "function": tool} for tool in parse_tools(functions)]
    return {"messages": messages, **({"tools": tools} if tools else {})}
