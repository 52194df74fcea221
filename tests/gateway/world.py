"""A gateway on a real socket, in a thread of its own, and the smallest client for it."""

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvloop

from tests.runtime.world import config
from turnout import Router
from turnout.gateway.access import Access
from turnout.gateway.app import Gateway, Limits
from turnout.gateway.serve import ServeOptions, http_bounds
from turnout.gateway.server import HttpServer
from turnout.testing import FaultProxy, FaultyUpstream


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A response as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    def events(self) -> list[tuple[str, str]]:
        """The stream's events as (name, data)."""
        found = []
        for block in self.body.decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
            if "data" in fields:
                found.append((fields.get("event", ""), fields["data"]))
        return found


@dataclass(frozen=True, kw_only=True)
class World:
    """A gateway at ``port`` in front of ``upstream``, to which ``proxy`` leads, too."""

    port: int
    upstream: FaultyUpstream
    proxy: FaultProxy
    gateway: Gateway

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Answer:
        """A POST; ``body`` is sent as JSON unless it is bytes."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.send("POST", path, data, headers)

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        """A GET."""
        return self.send("GET", path, None, headers)

    def send(
        self, method: str, path: str, data: bytes | None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        link.request(method, path, data, {"content-type": "application/json", **(headers or {})})
        response = link.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        answer = Answer(status=response.status, headers=found, body=response.read())
        link.close()
        return answer

    def sent(self) -> Any:
        """What went to the provider last, decoded."""
        return self.upstream.requests[-1].json()


@contextmanager
def world(
    *,
    limits: Limits | None = None,
    access: Access | None = None,
    family: str = "openai",
    modalities: list[str] | None = None,
    embedding: Mapping[str, Any] | None = None,
    provider_more: Mapping[str, Any] | None = None,
    proxied: bool = False,
    speaks: Mapping[str, str] | None = None,
    elsewhere: Mapping[str, str] | None = None,
    **more: Any,
) -> Iterator[World]:
    """A gateway over the recipe with three models; ``more`` changes the configuration.

    With ``proxied`` the model ``strong`` is reached through a proxy that spoils connections;
    ``speaks`` names another family for some of the models, ``elsewhere`` another base URL.
    """
    # Patient, since tests share a busy machine; tests of deadlines bring their own.
    patient = {"connect_s": 5, "first_token_s": 10, "inter_token_s": 10, "total_s": 30}
    more.setdefault("timeouts", patient)
    with FaultyUpstream() as upstream, FaultProxy(upstream.port) as proxy:
        settings = config(upstream, **more)
        settings["providers"]["acme"].update(family=family, **(provider_more or {}))
        if proxied:
            behind = {**settings["providers"]["acme"], "base_url": proxy.base_url}
            settings["providers"]["behind"] = behind
            settings["models"]["strong"]["provider"] = "behind"
        for name, spoken in (speaks or {}).items():
            own = {**settings["providers"]["acme"], "family": spoken}
            settings["providers"][spoken] = own
            settings["models"][name]["provider"] = spoken
        for name, base_url in (elsewhere or {}).items():
            settings["providers"][f"at-{name}"] = {"base_url": base_url, "api_key": "k3y-acme"}
            settings["models"][name]["provider"] = f"at-{name}"
        for model in settings["models"].values():
            model.update({"modalities": modalities} if modalities else {})
        settings["models"].update(embedding or {})
        gateway = Gateway(Router.from_config(settings, environ={}), limits, access)
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        running, stop = threading.Event(), threading.Event()
        thread = threading.Thread(
            target=uvloop.run, args=(_serve(gateway, listener, running, stop),), daemon=True
        )
        thread.start()
        while not running.wait(1):  # however long it takes on a busy machine
            assert thread.is_alive(), "the gateway did not start"
        try:
            yield World(port=port, upstream=upstream, gateway=gateway, proxy=proxy)
        finally:
            stop.set()
            thread.join()


async def _serve(
    gateway: Gateway, listener: socket.socket, running: threading.Event, stop: threading.Event
) -> None:
    gateway.prepare()
    server = HttpServer(gateway.serve, http_bounds(gateway.limits, ServeOptions()))
    await server.start(listener)
    attending = asyncio.create_task(gateway.watch_accounts())
    running.set()
    await asyncio.to_thread(stop.wait)
    attending.cancel()
    await server.stop()
    await gateway.engine.aclose()


def chat(text: str = "What is the capital of Japan?", **more: Any) -> dict[str, Any]:
    """A chat body."""
    return {"model": "auto", "messages": [{"role": "user", "content": text}], **more}


def with_picture(text: str = "What is this?") -> dict[str, Any]:
    """A chat body that no model takes unless the world has ``modalities`` for it."""
    picture = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    content = [{"type": "text", "text": text}, picture]
    return {"model": "auto", "messages": [{"role": "user", "content": content}]}


def messages(text: str = "What is the capital of Japan?", **more: Any) -> dict[str, Any]:
    """A Messages body."""
    return {**chat(text), "max_tokens": 200, **more}
