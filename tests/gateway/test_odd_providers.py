"""A provider that calls its model anything, before a gateway that caches."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.gateway.world import chat, world

NAME = "acme/c\0der\r\nset-cookie: ours=1"


class _Provider(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """The same answer to everything."""
        self.rfile.read(int(self.headers["content-length"]))
        choice = {"index": 0, "message": {"role": "assistant", "content": "Tokyo"}}
        answer = {
            "model": NAME,
            "choices": [{**choice, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def provider() -> Iterator[str]:
    """Its base URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Provider) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()


def test_a_models_name_makes_no_header_of_its_own() -> None:
    """Neither with the answer nor when that comes from the cache."""
    with (
        provider() as base_url,
        world(cache={"ttl_s": 300}, provider_more={"base_url": base_url}) as w,
    ):
        answers = [w.post("/v1/chat/completions", chat(model="coder")) for _ in range(2)]
    assert [a.headers.get("x-turnout-cache") for a in answers] == [None, "hit"]
    for answer in answers:
        assert answer.status == 200
        assert "set-cookie" not in answer.headers
        assert answer.headers["x-turnout-model"] == "acme/c?der?set-cookie: ours=1"
        assert answer.json()["model"] == NAME
