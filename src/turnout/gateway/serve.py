"""Runs the gateway on a socket until it is told to stop: one process, drained gracefully.

Invariant: after a signal nothing new is accepted, answers under way are finished up to a deadline,
and only then does the process end. This module does not know workers.
"""

import asyncio
import ctypes
import gc
import logging
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from turnout.core import ConfigError
from turnout.core.cooldown import Cooldown
from turnout.gateway.access import Access
from turnout.gateway.app import Gateway, Limits
from turnout.gateway.http1 import Bounds
from turnout.gateway.listener import Address, is_local, renew, tls_context
from turnout.gateway.reload import Reloader, stamps_of
from turnout.gateway.server import HttpServer
from turnout.gateway.worker_link import ParentLink
from turnout.runtime import Engine, Router

_LOG = logging.getLogger("turnout.gateway")
_FIRST_ANSWERS_S = 0.5
_MOST_FILES = 65_536
_M_ARENA_MAX = -8  # the value in <malloc.h>


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """How long a drain may take and an idle connection is kept; how large a head may be."""

    drain_s: float = 60.0
    keep_alive_s: float = 75.0
    max_head_bytes: int = 32 * 1024


async def serve(
    build: Callable[[], Router],
    listener: socket.socket,
    *,
    access: Access,
    address: Address | None = None,
    options: ServeOptions | None = None,
    config_path: Path | None = None,
    ready: Callable[[], object] = lambda: None,
    parent: ParentLink | None = None,
    before_serving: Callable[[Engine], object] = lambda _: None,
    warm: bool = False,
) -> None:
    """Serves until SIGTERM or SIGINT; SIGHUP and a changed file reload configuration and TLS.

    ``ready`` is called when connections are accepted; ``parent`` passes on what other workers
    learn; ``before_serving`` is called with each engine; with ``warm`` everything is loaded before
    it serves. A second SIGINT ends it without waiting for answers under way.
    """
    limits, options = Limits(), options or ServeOptions()
    access.local = is_local(listener)
    build = partial(_built_with_warning, build)
    files = (config_path, address.certificate, address.key) if address else (config_path,)
    paths = [path for path in files if path is not None]
    stamps = stamps_of(paths)
    tls = tls_context(address)
    _share_one_heap()
    _raise_file_limit()
    gateway = Gateway(build(), limits, access)
    await _prepare(gateway, before_serving, warm=warm)
    reloader = Reloader(
        gateway,
        build,
        paths,
        stamps=stamps,
        renew=lambda: renew(tls, address),
        before_serving=before_serving,
    )
    server = HttpServer(gateway.serve, http_bounds(limits, options))
    stopping = _Stopping()
    if parent is not None:
        _join_workers(parent, gateway)
    try:
        with _handling_signals(reloader, stopping):
            async with _running(reloader.run(), gateway.watch_accounts()):
                await server.start(listener, tls)
                ready()
                warming = asyncio.create_task(_warm_rest(gateway.engine, is_loaded=warm))
                await stopping.gently.wait()
                gateway.readiness.draining = True
                await _wait_for_first(server.stop(options.drain_s), stopping.at_once.wait())
                await server.stop()
                warming.cancel()
    finally:
        await gateway.engine.aclose()
        await asyncio.to_thread(gateway.close)


async def _prepare(
    gateway: Gateway, before_serving: Callable[[Engine], object], *, warm: bool
) -> None:
    """Loads what the first request needs, or, with ``warm``, what any request may need."""
    gateway.prepare()
    before_serving(gateway.engine)
    if warm:
        await _load_rest(gateway.engine)
    _freeze_memory()


def _join_workers(parent: ParentLink, gateway: Gateway) -> None:
    """Exchanges cooldowns between this worker and the others."""
    loop = asyncio.get_running_loop()
    gateway.on_cooldown(parent.send_cooldown)
    parent.subscribe(lambda cooldown: loop.call_soon_threadsafe(_apply_cooldown, gateway, cooldown))


@contextmanager
def _handling_signals(reloader: Reloader, stopping: "_Stopping") -> Iterator[None]:
    """Handles signals while the context lasts."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reloader.reload_soon)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # blocked since the start
    loop.add_signal_handler(signal.SIGTERM, stopping.gently.set)
    loop.add_signal_handler(signal.SIGINT, stopping.interrupt)
    try:
        yield
    finally:
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@asynccontextmanager
async def _running(*coroutines: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """Runs these while the context lasts."""
    tasks = [asyncio.create_task(work) for work in coroutines]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


def _built_with_warning(build: Callable[[], Router]) -> Router:
    """The router; logs a warning if a stand-in answers, or a model's quality is not known."""
    router = build()
    stand_in = router.parts.means.stand_in
    if stand_in is not None:
        keys = {d.provider.api_key_env for d in router.parts.catalog.deployments.values()}
        _LOG.warning(
            "no API key found: the embedded model, often wrong, answers in place of all others",
            extra={"fields": {"model": stand_in.model, "set": sorted(filter(None, keys))}},
        )
    problem = router.parts.unknown_qualities
    if problem is not None:
        _LOG.warning("models are not known to the policy", extra={"fields": {"problem": problem}})
    return router


def _apply_cooldown(gateway: Gateway, cooldown: Cooldown) -> None:
    gateway.engine.apply_cooldown(cooldown)


async def _warm_rest(engine: Engine, *, is_loaded: bool) -> None:
    """Loads what the first answers do not need, then returns free memory to the system."""
    await asyncio.sleep(_FIRST_ANSWERS_S)
    if not is_loaded:
        await _load_rest(engine)
    _freeze_memory()


async def _load_rest(engine: Engine) -> None:
    try:
        await asyncio.to_thread(engine.prepare_rest)
    except ConfigError as error:
        problem = {"problem": str(error)}
        _LOG.error("some prompts cannot be classified", extra={"fields": problem})


def _share_one_heap() -> None:
    """Makes threads share one heap: memory freed in heaps of their own is seldom returned."""
    with suppress(AttributeError):  # only the GNU library has it
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def _raise_file_limit() -> None:
    """Raises the limit on open files, often 1,024, since each request needs two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if resource.RLIM_INFINITY != soft < most:
        with suppress(ValueError, OSError):  # some systems allow less than their limit says
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _freeze_memory() -> None:
    """Takes what is loaded out of garbage collection, and returns free memory to the system."""
    gc.collect()
    # A collection that walked all tables would halt every answer under way.
    gc.freeze()
    # Requests leave next to no reference cycles, so that rare collections are enough.
    gc.set_threshold(10_000, 20, 50)
    gc.enable()
    with suppress(AttributeError):  # only the GNU library has it
        ctypes.CDLL(None).malloc_trim(0)


class _Stopping:
    """Events that say whether to stop, and whether to stop without waiting."""

    def __init__(self) -> None:
        self.gently = asyncio.Event()
        self.at_once = asyncio.Event()

    def interrupt(self) -> None:
        """The first interrupt stops gently, the second at once."""
        (self.at_once if self.gently.is_set() else self.gently).set()


async def _wait_for_first(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Waits until one of them is done, and cancels the others."""
    tasks = [asyncio.ensure_future(work) for work in coroutines]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def http_bounds(limits: Limits, options: ServeOptions) -> Bounds:
    """The limits that the HTTP server enforces."""
    return Bounds(
        head_bytes=options.max_head_bytes,
        body_bytes=limits.max_body_bytes,
        receive_s=limits.receive_s,
        idle_s=options.keep_alive_s,
    )
