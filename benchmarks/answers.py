"""The cost of judging answers: time to first token, total time and CPU, scanner off and on.

``python -m benchmarks.answers`` asks a local upstream that writes a token every ``DRIP_MS``; rounds
alternate, medians and ranges are printed with the machine and its speed.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence

from benchmarks.machine import print_machine
from turnout import Router
from turnout.testing import FaultyUpstream

DRIP_MS = 10
TOKENS = 300
ROUNDS = 15
PROMPT = "Write a short story about a robot discovering music"


def settings(upstream: FaultyUpstream, answers: str) -> dict[str, object]:
    """One model at the upstream, its answers judged or not."""
    model = {"model": f"f-drip{DRIP_MS}ms-tokens{TOKENS}", "price": "unknown"}
    return {
        "providers": {"local": {"base_url": upstream.base_url, "api_key": "k"}},
        "provider": "local",
        "models": {"a": model},
        "default": "a",
        "safety": {"answers": answers},
        "ledger": "off",
    }


async def measure_answer(router: Router) -> tuple[float, float, float]:
    """Milliseconds to the first text and to the end, and of CPU, of one streamed answer."""
    began, cpu, first = time.perf_counter(), time.process_time(), 0.0
    stream = await router.achat(PROMPT, stream=True)
    async for chunk in stream:
        text = chunk["choices"] and chunk["choices"][0]["delta"].get("content")
        if text and not first:
            first = time.perf_counter()
    ended = time.perf_counter()
    used = time.process_time() - cpu
    return (first - began) * 1e3, (ended - began) * 1e3, used * 1e3


def table_line(name: str, found: Sequence[tuple[float, float, float]]) -> str:
    """Medians with the least and the most."""
    cells = [
        f"{statistics.median(column):7.0f} ({min(column):.0f}-{max(column):.0f})"
        for column in zip(*found, strict=True)
    ]
    return f"{name:5} " + "  ".join(cells)


async def main() -> None:
    """Prints the table."""
    print_machine("turnout")
    print(f"{TOKENS} tokens, one every {DRIP_MS} ms; upstream in the same process; {ROUNDS} rounds")
    async with FaultyUpstream() as upstream:
        routers = {
            name: Router.from_config(settings(upstream, name), environ={})
            for name in ("off", "scan")
        }
        for router in routers.values():
            await measure_answer(router)
        found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in routers}
        for _ in range(ROUNDS):
            for name, router in routers.items():
                found[name].append(await measure_answer(router))
        print("      first text (ms)   end (ms)   CPU (ms)")
        for name, rows in found.items():
            print(table_line(name, rows))
        for router in routers.values():
            await router.aclose()


if __name__ == "__main__":
    asyncio.run(main())
