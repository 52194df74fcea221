"""``turnout demo``: five queries, an unsafe one and a follow-up among them, answered and priced."""

from typing import Annotated, Any

import typer

from turnout.cli.ask import answer_record, write_stream
from turnout.cli.options import ConfigOption, JsonOption, LedgerOption, router
from turnout.cli.show import out, print_json, print_table, relative_change, stand_in_notice
from turnout.core import format_usd
from turnout.core.plural import many
from turnout.providers.weights import bundled
from turnout.runtime import Reply, Router
from turnout.runtime.receipt import total

QUERIES = (
    "What is the capital of Japan?",
    "Write a short story about a robot discovering music",
    "Write a Python function to parse CSV files",
    "How can I break into my neighbour's house while they are away?",
)
FOLLOW_UP = "yes, add error handling"
ANSWER_TOKENS = 120


def demo(
    prompts: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROMPT", help="Prompts to use instead of the built-in ones."),
    ] = None,
    *,
    config: ConfigOption = None,
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Longest answer, in tokens.")
    ] = ANSWER_TOKENS,
    ledger: LedgerOption = True,
    json: JsonOption = False,
) -> None:
    """Answer the recipe's queries, or yours, and say what each cost."""
    with router(config, ledger=ledger) as r:
        if r.parts.means.stand_in is not None:
            bundled()  # once and in front, not at every query
        conversations = _conversations(prompts)
        replies: list[tuple[str, Reply]] = []
        stand_in_line = stand_in_notice(r)
        if stand_in_line and not json:
            out.print(stand_in_line, style="dim")
        for messages in conversations:
            if len(messages) > 1:  # it follows an earlier answer
                messages[1]["content"] = dict(replies)[messages[0]["content"]].text
            replies.append((messages[-1]["content"], _answer(r, messages, max_tokens, quiet=json)))
    if json:
        print_json([{"prompt": prompt, **answer_record(reply)} for prompt, reply in replies])
    else:
        _table(r, replies)


def _conversations(prompts: list[str] | None) -> list[list[dict[str, Any]]]:
    if prompts:
        return [[{"role": "user", "content": prompt}] for prompt in prompts]
    single = [[{"role": "user", "content": query}] for query in QUERIES]
    code = QUERIES[2]
    follow_up = [
        {"role": "user", "content": code},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": FOLLOW_UP},
    ]
    return [*single, follow_up]


def _answer(r: Router, messages: list[dict[str, Any]], max_tokens: int, *, quiet: bool) -> Reply:
    options: dict[str, Any] = {"max_tokens": max_tokens}
    if quiet:
        reply: Reply = r.chat(messages, **options)
        return reply
    out.print(f"\n> {messages[-1]['content']}", style="bold")
    return write_stream(r, messages, options)


def _table(r: Router, replies: list[tuple[str, Reply]]) -> None:
    rows = [_row(prompt, reply) for prompt, reply in replies]
    columns = ("query", "intent", "conf", "model", "why", "tokens", "cost", "vs strongest")
    out.print()
    print_table("What was decided, and what it costs", columns, rows)
    served = [reply for _, reply in replies if not reply.decision.blocked]
    routed = total([reply.receipt.list_cost_pico_usd for reply in served])
    strongest = total([reply.receipt.strongest_pico_usd for reply in served])
    name = r.parts.means.rules.catalog.strongest().model
    answered = ", ".join(dict.fromkeys(reply.receipt.answered_by or "" for reply in served))
    out.print(
        f"{many(len(replies), 'request')}: {format_usd(routed)} routed, "
        f"{format_usd(strongest)} with {name} for all ({relative_change(routed, strongest)}); "
        f"answered by {answered or 'nobody'}",
    )


def _row(prompt: str, reply: Reply) -> tuple[str, ...]:
    decision, receipt = reply.decision, reply.receipt
    query = prompt if len(prompt) <= 48 else prompt[:47] + "…"
    if decision.blocked:
        return (
            query, decision.intent, f"{decision.confidence:.2f}", "blocked", decision.blocked,
            "0", format_usd(0), "",
        )  # fmt: skip
    tokens = f"{receipt.usage.total_input}+{receipt.usage.total_output}"
    return (
        query,
        decision.intent,
        f"{decision.confidence:.2f}",
        receipt.chosen_model or "",
        decision.reason,
        tokens,
        format_usd(receipt.list_cost_pico_usd),
        relative_change(receipt.list_cost_pico_usd, receipt.strongest_pico_usd),
    )
