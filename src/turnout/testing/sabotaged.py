"""The command line with one promise broken on purpose; its first argument says which.

Proofs run it to show that they fail then. The gateway never uses it.
"""

import sys
from typing import Any


def clean_end() -> None:
    """A stream that broke off ends as if it were complete."""
    from turnout.gateway.dialects.chat import ChatWriter
    from turnout.gateway.dialects.messages_stream import MessagesWriter
    from turnout.gateway.dialects.responses_stream import ResponsesWriter

    def fail(self: Any, problem: object) -> bytes:
        del problem
        return bytes(self.end())

    for writer in (ChatWriter, MessagesWriter, ResponsesWriter):
        writer.fail = fail  # type: ignore[method-assign]


def leak() -> None:
    """Keeps every request's decision, and more, forever."""
    from turnout.gateway.recent import Recent

    keep = Recent.keep
    kept: list[bytes] = []

    def keep_more(self: Recent, *values: Any, **more: Any) -> None:
        kept.append(bytes(500))
        keep(self, *values, **more)

    Recent.keep = keep_more  # type: ignore[method-assign]


SABOTAGES = {"clean-end": clean_end, "leak": leak}


if __name__ == "__main__":
    from turnout.cli import main

    SABOTAGES[sys.argv.pop(1)]()
    main()
