"""``make picture``: renders the demo's real output as docs/demo.svg."""

import os
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

WIDTH = 150
# Short answers, so that what was decided about them is seen without scrolling.
DEMO = ["demo", "--max-tokens", "40"]


def main() -> None:
    """Run the demo as a person would see it, and draw what it printed."""
    turnout = str(Path(sys.executable).parent / "turnout")
    environ = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH)}
    command = [turnout, *DEMO, "--no-ledger"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environ)
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True)
    console.print(f"$ turnout {' '.join(DEMO)}", style="bold")
    console.print(Text.from_ansi(done.stdout))
    drawn = console.export_svg(title="turnout demo")
    # The viewer's own fonts will do: a picture should fetch nothing.
    Path("docs/demo.svg").write_text(re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL))


if __name__ == "__main__":
    main()
