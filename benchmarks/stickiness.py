"""``python -m benchmarks.stickiness``: what a conversation costs with and without cache state.

An agent's conversation of 12 turns behind 20 kB of instructions, growing by its tools' results;
every third turn is hard and needs the stronger of two models. Real routing and real calls to a
local provider that caches prompts like OpenAI and Anthropic; real prices. Its texts are synthetic,
so the figures show the value of the cache state, not what a user will pay.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from benchmarks.machine import print_machine
from turnout import Router
from turnout.config import load_mapping
from turnout.core import Constraints
from turnout.runtime.assemble import assemble
from turnout.testing import FaultyUpstream

TURNS, PREFIX_BYTES, HARD_EVERY = 12, 20_000, 3
ANSWER_TOKENS = 150
POOLS = (
    ("openai", "gpt-5.4", "gpt-5.4-mini"),
    ("anthropic", "claude-sonnet-5-5", "claude-haiku-4-5"),
    ("deepseek", "deepseek-v4-pro", "deepseek-v4-flash"),
)
GROWTHS = (500, 6_000)
_WORDS = "the file has a test that fails when its input is read from disk and not from memory"
_MARK = {"cache_control": {"type": "ephemeral"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """A whole conversation: dollars, the share of prompt tokens that were cached, and switches."""

    usd: float
    cached: float
    switches: int


def main() -> None:
    """Hold each conversation in three ways, and print."""
    print_machine("turnout", "genai-prices")
    print(f"\n{'pool':<38}{'a turn adds':>12}  {'way':<28}{'USD':>9}{'cached':>8}{'switches':>9}")
    for pool in POOLS:
        for growth in GROWTHS:
            for way, bill in _bills(pool, growth):
                row = f"{pool[1] + ' / ' + pool[2]:<38}{growth:>10} B  {way:<28}"
                print(f"{row}{bill.usd:9.4f}{bill.cached:8.0%}{bill.switches:9}", flush=True)


def _bills(pool: tuple[str, str, str], growth: int) -> Iterator[tuple[str, Bill]]:
    yield "always the stronger", _conversation_bill(pool, growth, model="strong")
    yield "routed, caches ignored", _conversation_bill(pool, growth, ignore_caches=True)
    yield "routed, caches priced", _conversation_bill(pool, growth)


def _conversation_bill(
    pool: tuple[str, str, str], growth: int, *, model: str = "auto", ignore_caches: bool = False
) -> Bill:
    generator = random.Random(12)
    with FaultyUpstream() as upstream:
        script = f"f-keeps-tokens{ANSWER_TOKENS}"
        upstream.scripts.update(dict.fromkeys(pool[1:], script))
        parts = assemble(load_mapping(_settings(upstream, *pool), {}), {})
        if ignore_caches:
            parts = replace(parts, means=replace(parts.means, caches=None))
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": _random_text(generator, PREFIX_BYTES)}
        ]
        picks, paid = [], 0
        with Router(parts) as router:
            for turn in range(TURNS):
                content = {
                    "type": "text",
                    "text": f"Turn {turn}. {_random_text(generator, growth)}",
                }
                message = {"role": "user", "content": [{**content, **_MARK}]}
                reply = router.chat(
                    [*messages, message],
                    model=model,
                    constraints=Constraints(quality=0.5 if turn % HARD_EVERY else 1.0),
                    max_tokens=ANSWER_TOKENS,
                )
                messages += [
                    {"role": "user", "content": [content]},
                    {"role": "assistant", "content": reply.text},
                ]
                picks.append(reply.decision.model)
                paid += reply.cost_pico_usd or 0
        prompt = sum(entry.prompt_tokens for entry in upstream.invoice)
        cached = sum(entry.cached_tokens for entry in upstream.invoice)
    switches = sum(a != b for a, b in pairwise(picks))
    return Bill(usd=paid / 1e12, cached=cached / prompt, switches=switches)


def _settings(upstream: FaultyUpstream, preset: str, strong: str, weak: str) -> dict[str, Any]:
    local = {"preset": preset, "base_url": upstream.base_url, "api_key": "k"}
    return {
        "providers": {"local": local},
        "provider": "local",
        "models": {
            "strong": {"model": strong, "quality": 0.9},
            "weak": {"model": weak, "quality": 0.7},
        },
        "default": "strong",
        "policy": {"name": "cheapest_above_quality"},
        "ledger": "off",
    }


def _random_text(generator: random.Random, size: int) -> str:
    """Words of about so many bytes."""
    return " ".join(generator.choice(_WORDS.split()) for _ in range(size * 10 // 43))


if __name__ == "__main__":
    main()
