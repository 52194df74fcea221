"""A log that nobody reads does not stop the gateway, and says what is missing when it is read."""

import fcntl
import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path
from typing import TextIO

from turnout.gateway.log import JsonLines
from turnout.gateway.log_stream import LEFT_OUT, PatientHandler
from turnout.testing import FaultyUpstream


def _handler(stream: TextIO) -> PatientHandler:
    handler = PatientHandler(stream)
    handler.setFormatter(JsonLines())
    return handler


def _record(text: str, **fields: object) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": text, "levelname": "WARNING", "fields": fields})


def test_lines_that_nobody_reads_are_counted() -> None:
    """All are either there or counted, each line whole."""
    read_end, write_end = os.pipe()
    with os.fdopen(write_end, "w") as stream, os.fdopen(read_end, "rb", buffering=0) as reader:
        handler = _handler(stream)

        def many() -> None:
            for number in range(5000):
                handler.handle(_record("line", number=number, filler="x" * 50))

        writing = threading.Thread(target=many, daemon=True)
        writing.start()
        writing.join(20)
        assert not writing.is_alive()
        held = reader.read(1 << 20)
        handler.handle(_record("again"))
        stream.close()
        rest = reader.read(1 << 20)
    lines = [json.loads(line) for line in (held + rest).decode().splitlines()]
    kept = [line for line in lines if line["event"] == "line"]
    assert 100 < len(kept) < 5000
    assert [line["number"] for line in kept] == list(range(len(kept)))
    notice, last = lines[-2:]
    assert (notice["event"], notice["level"]) == (LEFT_OUT, "warning")
    assert notice["lines"] == 5000 - len(kept)
    assert last["event"] == "again"


def test_files_and_streams_without_a_descriptor_take_every_line(tmp_path: Path) -> None:
    """As before."""
    with (tmp_path / "log").open("w") as file:
        for stream in (file, io.StringIO()):
            handler = _handler(stream)
            for number in range(2000):
                handler.handle(_record("line", number=number))
    assert (tmp_path / "log").read_text().count("\n") == 2000


def test_a_gateway_whose_log_nobody_reads_goes_on_answering(tmp_path: Path) -> None:
    """More lines than the pipe holds; the next one after it was read says how many are missing."""
    config = tmp_path / "turnout.yaml"
    with FaultyUpstream() as upstream:
        models = {"small": {"model": "acme/small", "price": {"input": 1, "output": 2}}}
        provider = {"base_url": upstream.base_url, "api_key": "k"}
        settings = {"ledger": "off", "provider": "acme", "providers": {"acme": provider},
                    "models": models, "default": "small"}  # fmt: skip
        config.write_text(json.dumps(settings))
        command = [sys.executable, "-m", "turnout", "serve", "--config", str(config), "--port", "0"]
        with subprocess.Popen(
            [*command, "--log-level", "DEBUG"], stderr=subprocess.PIPE, bufsize=0,
            env={**os.environ, "TURNOUT_STATE_DIR": str(tmp_path)},
        ) as gateway:  # fmt: skip
            assert gateway.stderr is not None
            fcntl.fcntl(gateway.stderr, fcntl.F_SETPIPE_SZ, 8192)
            said = b""
            while (
                serving := re.search(rb"serving on http://127.0.0.1:([0-9]+)/v1\s", said)
            ) is None:
                said += gateway.stderr.read(1000) or b""
            port = int(serving[1])
            body = {"model": "small", "messages": [{"role": "user", "content": "Hi"}]}
            asked = urllib.request.Request(
                f"http://127.0.0.1:{port}/v1/chat/completions",
                json.dumps(body).encode(),
                {"content-type": "application/json"},
            )

            def ask() -> int:
                with urllib.request.urlopen(asked, timeout=20) as answer:  # noqa: S310 -- http
                    return int(answer.status)

            try:
                assert {ask() for _ in range(60)} == {200}
                said = gateway.stderr.read(1 << 20)
                assert LEFT_OUT.encode() not in said
                assert ask() == 200
                while b"\n" not in said.partition(LEFT_OUT.encode())[2]:
                    said += gateway.stderr.read(1 << 20)
            finally:
                gateway.kill()
    notice = next(line for line in said.splitlines() if LEFT_OUT.encode() in line)
    assert 60 < json.loads(notice)["lines"] < 120
