"""The faulty upstream as a command: ``python -m turnout.testing.upstream --port 8089``."""

import argparse
import asyncio

from turnout.testing.server import FaultyUpstream


def main() -> None:
    """Runs the server until it is interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m turnout.testing.upstream",
        description="Speaks OpenAI's chat completions; model names like f-429-ra5 script faults.",
    )
    parser.add_argument("--port", type=int, default=8089, help="0 takes any free port")
    try:
        asyncio.run(_forever(parser.parse_args().port))
    except KeyboardInterrupt:
        return


async def _forever(port: int) -> None:
    async with FaultyUpstream(port=port) as upstream:
        print(f"listening on {upstream.base_url}", flush=True)  # noqa: T201 -- its only output
        await asyncio.Event().wait()


if __name__ == "__main__":
    main()
