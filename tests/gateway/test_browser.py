"""A page in a real browser calls the gateway: a listed one may, as client libraries do."""

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.world import chat, world

BROWSER = shutil.which("chromium")

pytestmark = [
    pytest.mark.apt,
    pytest.mark.skipif(BROWSER is None, reason="needs Debian's chromium"),
]

# As the OpenAI library for JavaScript sends them, and one of the gateway's own.
SENT = {
    "authorization": "Bearer unused",
    "content-type": "application/json",
    "x-stainless-lang": "js",
    "x-stainless-runtime-version": "browser",
    "x-turnout-quality": "0.9",
}
SEEN = ["x-turnout-model", "x-turnout-cost-usd", "x-should-retry", "x-request-id"]

PAGE = """<!doctype html><title>calls</title><pre id="said"></pre><script>
(async () => {
  const said = [];
  for (const body of BODIES) {
    try {
      const options = {method: "POST", headers: SENT, body: JSON.stringify(body)};
      const answer = await fetch("URL", options);
      const headers = Object.fromEntries(SEEN.map(name => [name, answer.headers.get(name)]));
      said.push({status: answer.status, headers, text: await answer.text()});
    } catch (error) {
      said.push({kept: String(error)});
    }
  }
  document.getElementById("said").textContent = JSON.stringify(said);
})();
</script>"""


class Pages(ThreadingHTTPServer):
    """Serves ``text`` at every path."""

    text = ""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Shown)

    @property
    def origin(self) -> str:
        """What the browser calls a page of this server."""
        return f"http://localhost:{self.server_port}"


class _Shown(BaseHTTPRequestHandler):
    server: Pages

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(self.server.text.encode())

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def pages() -> Iterator[Pages]:
    """A server of a page, on a port of its own."""
    with Pages() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def page(gateway: int, *bodies: Any) -> str:
    """A page that sends these bodies to the gateway at this port, one after the other."""
    filled = {
        "URL": f"http://localhost:{gateway}/v1/chat/completions",
        "BODIES": json.dumps(bodies),
        "SENT": json.dumps(SENT),
        "SEEN": json.dumps(SEEN),
    }
    return re.sub("|".join(filled), lambda found: filled[found[0]], PAGE)


def page_results(origin: str, profile: Path) -> Any:
    """What the page wrote down."""
    command = [
        str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
        f"--user-data-dir={profile}", "--virtual-time-budget=20000", "--dump-dom", f"{origin}/",
    ]  # fmt: skip
    found = subprocess.run(command, capture_output=True, check=True, text=True, timeout=120)
    said = re.search(r'<pre id="said">(.*?)</pre>', found.stdout, re.DOTALL)
    assert said, found.stdout[:500]
    return json.loads(unescape(said[1]))


def test_a_listed_page_calls_and_reads_why(tmp_path: Path) -> None:
    """Whole, streamed, and refused: the page reads body and headers of each."""
    with pages() as ours, world(serve={"origins": [ours.origin]}) as w:
        ours.text = page(w.port, chat(), {**chat(), "stream": True}, {"messages": []})
        whole, streamed, refused = page_results(ours.origin, tmp_path)
    assert [whole["status"], streamed["status"], refused["status"]] == [200, 200, 400]
    assert json.loads(whole["text"])["object"] == "chat.completion"
    assert streamed["text"].endswith("data: [DONE]\n\n")
    assert whole["headers"]["x-turnout-model"] == streamed["headers"]["x-turnout-model"]
    assert float(whole["headers"]["x-turnout-cost-usd"]) > 0
    assert refused["headers"]["x-should-retry"] == "false"
    assert refused["headers"]["x-request-id"]


def test_no_other_page_calls(tmp_path: Path) -> None:
    """The browser keeps the request to itself, and nothing reaches a model."""
    with pages() as ours, world() as w:
        ours.text = page(w.port, chat())
        (kept,) = page_results(ours.origin, tmp_path)
        assert w.upstream.requests == []
    assert "TypeError" in kept["kept"]
