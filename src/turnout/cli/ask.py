"""``turnout ask`` and ``turnout route``: one prompt, answered or only decided."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from turnout.cli.assertions import check
from turnout.cli.options import (
    ConfigOption,
    JsonOption,
    LedgerOption,
    ModelOption,
    prompt_text,
    router,
    unrecorded_router,
)
from turnout.cli.show import err, out, print_json, stand_in_notice
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
    if json and explain:
        raise ConfigError(
            "--explain is text; leave out --json, or ask turnout explain ID --json later"
        )
    options: dict[str, Any] = {"model": model}
    if max_tokens is not None:
        options["max_tokens"] = max_tokens
    text = prompt_text(prompt)
    with router(config, ledger=ledger) as r:
        if json:
            reply = r.chat(text, **options)
            print_json(answer_record(reply))
        else:
            reply = _stream_answer(r, text, options)
            _print_summary(reply, explain=explain)
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
    with _decision_router(config, ledger=ledger) as r:
        decision = r.route(prompt_text(prompt), model=model)
    if json:
        print_json(decision_record(decision))
    else:
        out.print(decision.explain())


def _decision_router(config: Path | None, *, ledger: bool) -> Router:
    """A router for a decision that is not carried out."""
    if ledger:
        return router(config)
    loaded = load(config)
    if loaded.budgets:
        err.print("without the ledger the state of budgets is unknown", style="dim")
    return unrecorded_router(loaded)


def answer_record(reply: Reply) -> dict[str, Any]:
    """An answer as JSON: intent, models, tokens, money and the text."""
    receipt = reply.receipt
    return {
        "decision": reply.decision.id,
        "intent": reply.decision.intent,
        "confidence": reply.decision.confidence,
        "blocked": reply.decision.blocked,
        "chosen_model": receipt.chosen_model,
        "answered_by": receipt.answered_by,
        "stand_in": receipt.stand_in,
        "why": reply.decision.reason,
        "text": reply.text,
        "tokens": {
            "input": receipt.usage.total_input,
            "output": receipt.usage.total_output,
            "estimated": receipt.usage.estimated,
        },
        "cost_usd": usd(receipt.cost_pico_usd),
        "classifier_usd": usd(receipt.classifier_pico_usd),
        "list_cost_usd": usd(receipt.list_cost_pico_usd),
        "strongest_usd": usd(receipt.strongest_pico_usd),
    }


def decision_record(decision: Decision) -> dict[str, Any]:
    """A decision as JSON."""
    record = decision.as_dict()
    record["chosen_model"] = decision.model
    record["expected_cost_usd"] = usd(decision.expected_cost_pico_usd)
    return record


def write_stream(r: Router, prompt: Any, options: dict[str, Any]) -> Reply:
    """The reply to ``prompt``, its text written to standard output as it arrives."""
    stream = r.chat(prompt, stream=True, **options)
    for chunk in stream:
        for choice in chunk["choices"]:
            sys.stdout.write(choice["delta"].get("content") or "")
            sys.stdout.flush()
    sys.stdout.write("\n")
    sys.stdout.flush()  # before anything is written to standard error
    return stream.reply


def _stream_answer(r: Router, text: str, options: dict[str, Any]) -> Reply:
    stand_in_line = stand_in_notice(r)
    if stand_in_line:
        err.print(stand_in_line, style="dim")
    return write_stream(r, text, options)


def _print_summary(reply: Reply, *, explain: bool) -> None:
    receipt, decision = reply.receipt, reply.decision
    if decision.blocked:
        err.print(f"blocked: {decision.blocked}", style="dim")
    else:
        cost = format_usd(receipt.list_cost_pico_usd)
        model = receipt.chosen_model
        if receipt.answered_by != model:
            model = f"{model}, answered by {receipt.answered_by}"
        err.print(
            f"{decision.intent} → {model}, "
            f"{receipt.usage.total_input} + {receipt.usage.total_output} tokens, {cost}",
            style="dim",
        )
    if explain:
        err.print(decision.explain(), style="dim")
