"""The end of a gateway that another program started."""

import subprocess


def stop_process(process: "subprocess.Popen[bytes]", patience_s: float) -> None:
    """Ends the process in order; kills it if it still runs after ``patience_s`` seconds."""
    process.terminate()
    try:
        process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
