"""``turnout prove isolation``: the gateway that is tested, and its sabotages."""

import asyncio
import secrets
import socket
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from typing import Any

from turnout.core import ConfigError
from turnout.gateway.recent import Recent
from turnout.ledger import Ledger
from turnout.proving import Check
from turnout.proving.isolation import send_requests_from, settings
from turnout.proving.report import Trial
from turnout.proving.sabotages import Isolation as Sabotage
from turnout.runtime import Router
from turnout.testing import FaultyUpstream


def isolation(
    tenants: int,
    requests: int,
    cancelled: float,
    trial: Trial,
    *,
    sabotage: Sabotage | None = None,
) -> Check:
    """``requests`` of ``tenants`` through a real gateway and a real upstream."""
    import uvloop

    from turnout.gateway.access import Access

    keys = [secrets.token_urlsafe(24) for _ in range(tenants)]
    access = Access(keys)

    async def run() -> Check:
        async with FaultyUpstream() as upstream:
            router = Router.from_config(
                settings(upstream.base_url, str(trial.folder / "ledger.db")), environ={}
            )
            result, callers = await _through_gateway(router, access, keys, sabotage, send_requests)
            ledger = router.parts.means.recorder
            if not isinstance(ledger, Ledger):
                raise ConfigError("there is no ledger to compare with")
            return await asyncio.to_thread(result.check, ledger.store, callers)

    async def send_requests(base_url: str) -> Any:
        return await send_requests_from(base_url, keys, requests, cancelled, trial)

    return uvloop.run(run())


async def _through_gateway(
    router: Router, access: Any, keys: list[str], sabotage: Sabotage | None, send_requests: Any
) -> tuple[Any, list[str]]:
    """What ``send_requests`` finds at a gateway for ``router``, and the tenants of ``keys``."""
    from turnout.gateway.app import Gateway
    from turnout.gateway.server import HttpServer

    gateway = Gateway(router, access=access)
    gateway.prepare()
    restore = _SABOTAGES[sabotage]() if sabotage else lambda: None
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = HttpServer(gateway.serve)
    await server.start(listener)
    try:
        found = await send_requests(f"http://127.0.0.1:{listener.getsockname()[1]}")
    finally:
        restore()
        await server.stop()
        await gateway.engine.aclose()
    accounts = gateway.engine.accounts
    callers = [
        access.caller("GET", "/v1/models", {b"x-api-key": key.encode()}, accounts) for key in keys
    ]
    return found, [caller.tenant for caller in callers]


def _open_ids() -> Callable[[], None]:
    """Let anyone see every decision, as a sabotage."""
    original = Recent._find  # noqa: SLF001 -- broken on purpose

    def find_for_anyone(self: Any, decision_id: str, tenant: str | None) -> Any:
        del tenant
        return original(self, decision_id, None)

    return _replace_method(Recent, "_find", find_for_anyone)


def _cross_replies() -> Callable[[], None]:
    """Swap one answer in fifty with that of the next caller, as a sabotage."""
    from turnout.providers import HttpTransport

    original: Any = HttpTransport.send
    waiting: list[tuple[Any, asyncio.Future[Any]]] = []
    calls = count()

    async def send_crossed(self: Any, request: Any, timeouts: Any) -> Any:
        response = await original(self, request, timeouts)
        if waiting:
            other, swapped = waiting.pop()
            if not swapped.done():
                swapped.set_result(response)
                return other
        elif next(calls) % 50 == 0:
            swapped = asyncio.get_running_loop().create_future()
            waiting.append((response, swapped))
            return await swapped
        return response

    return _replace_method(HttpTransport, "send", send_crossed)


def _replace_method(owner: type, name: str, broken: object) -> Callable[[], None]:
    """Replaces a method by a broken one. Returns what puts the method back."""
    original = getattr(owner, name)
    setattr(owner, name, broken)
    return partial(setattr, owner, name, original)


_SABOTAGES: Mapping[Sabotage, Callable[[], Callable[[], None]]] = {
    "foreign-ids": _open_ids,
    "crossed-replies": _cross_replies,
}
