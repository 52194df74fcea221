"""``turnout ask`` and ``turnout route``: one prompt, answered or only decided."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from turnout.cli.asserting import check
from turnout.cli.options import (
    ConfigOption,
    JsonOption,
    LedgerOption,
    ModelOption,
    prompt_text,
    router,
    unspent_router,
)
from turnout.cli.show import err, notice, out, print_json
from turnout.config import load
from turnout.core import ConfigError, Decision, format_usd, usd
from turnout.runtime import Reply, Router

BLOCKED_EXIT = 5

PromptArgument = Annotated[str | None, typer.Argument(help="The prompt; - or none reads stdin.")]
ExpectedOption = Annotated[
    Path | None, typer.Option("--assert", help="JSONL of prompts and what is expected; - is stdin.")
]
MaxTokensOption = Annotated[
    int | None, typer.Option("--max-tokens", min=1, help="Longest answer, in tokens.")
]


def ask(
    prompt: PromptArgument = None,
    *,
    model: ModelOption = "auto",
    explain: Annotated[bool, typer.Option(help="Say why this model.")] = False,
    max_tokens: MaxTokensOption = None,
    config: ConfigOption = None,
    ledger: LedgerOption = True,
    json: JsonOption = False,
) -> None:
    """Route one prompt and print the answer as it comes."""
    more: dict[str, Any] = {"model": model}
    if max_tokens is not None:
        more["max_tokens"] = max_tokens
    text = prompt_text(prompt)
    with router(config, ledger=ledger) as r:
        if json:
            reply = r.chat(text, **more)
            print_json(answer_record(reply))
        else:
            reply = _streamed(r, text, more)
            _after(reply, explain=explain)
    if reply.decision.blocked:
        raise typer.Exit(BLOCKED_EXIT)


def route(
    prompt: PromptArgument = None,
    *,
    model: ModelOption = "auto",
    expected: ExpectedOption = None,
    config: ConfigOption = None,
    ledger: LedgerOption = True,
    json: JsonOption = False,
) -> None:
    """Say which model a prompt would go to, and why; call none.

    With --assert, check a file of {text|messages, model?, intent?, blocked?, max_cost_usd?, kind?}
    lines instead: what differs is printed, and the exit code is 1.
    """
    if expected is not None:
        if prompt is not None:
            raise ConfigError("--assert reads its prompts from the file; leave the prompt out")
        check(expected, config, model, ledger=ledger, json=json)
        return
    with _deciding(config, ledger=ledger) as r:
        decision = r.route(prompt_text(prompt), model=model)
    if json:
        print_json(decision_record(decision))
    else:
        out.print(decision.explain())


def _deciding(config: Path | None, *, ledger: bool) -> Router:
    """A router for a decision that is not carried out."""
    if ledger:
        return router(config)
    loaded = load(config)
    if loaded.budgets:
        err.print("without the ledger the state of budgets is unknown", style="dim")
    return unspent_router(loaded)


def answer_record(reply: Reply) -> dict[str, Any]:
    """An answer as JSON: intent, models, tokens, money and the text."""
    paid = reply.receipt
    return {
        "decision": reply.decision.id,
        "intent": reply.decision.intent,
        "confidence": reply.decision.confidence,
        "blocked": reply.decision.blocked,
        "chosen_model": paid.chosen_model,
        "answered_by": paid.answered_by,
        "stand_in": paid.stand_in,
        "why": reply.decision.reason,
        "text": reply.text,
        "tokens": {
            "input": paid.usage.total_input,
            "output": paid.usage.total_output,
            "estimated": paid.usage.estimated,
        },
        "cost_usd": usd(paid.cost_pico_usd),
        "classifier_usd": usd(paid.classifier_pico_usd),
        "list_cost_usd": usd(paid.list_cost_pico_usd),
        "strongest_usd": usd(paid.strongest_pico_usd),
    }


def decision_record(decision: Decision) -> dict[str, Any]:
    """A decision as JSON."""
    record = decision.as_dict()
    record["chosen_model"] = decision.model
    record["expected_cost_usd"] = usd(decision.expected_cost_pico_usd)
    return record


def write_stream(r: Router, prompt: Any, more: dict[str, Any]) -> Reply:
    """The reply to ``prompt``, its text written to standard output as it arrives."""
    stream = r.chat(prompt, stream=True, **more)
    for chunk in stream:
        for choice in chunk["choices"]:
            sys.stdout.write(choice["delta"].get("content") or "")
            sys.stdout.flush()
    sys.stdout.write("\n")
    sys.stdout.flush()  # before anything is written to standard error
    return stream.reply


def _streamed(r: Router, text: str, more: dict[str, Any]) -> Reply:
    line = notice(r)
    if line:
        err.print(line, style="dim")
    return write_stream(r, text, more)


def _after(reply: Reply, *, explain: bool) -> None:
    paid, decision = reply.receipt, reply.decision
    if decision.blocked:
        err.print(f"blocked: {decision.blocked}", style="dim")
    else:
        cost = format_usd(paid.list_cost_pico_usd)
        by = f", answered by {paid.answered_by}" if paid.answered_by != paid.chosen_model else ""
        err.print(
            f"{decision.intent} → {paid.chosen_model}{by}, {paid.usage.total_input} + "
            f"{paid.usage.total_output} tokens, {cost}",
            style="dim",
        )
    if explain:
        err.print(decision.explain(), style="dim")
