"""Swaps the router when its configuration changes.

Invariant: a configuration is taken whole or not at all; while a new one is read the old one
serves, and requests under way end on the router they began with.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from turnout.core import ConfigError
from turnout.gateway.app import Gateway
from turnout.runtime import Router

_LOG = logging.getLogger("turnout.gateway")
_LOOK_EVERY_S = 0.5


class Reloader:
    """Watches ``path`` (None: nothing to watch) and builds routers with ``build``.

    A replaced router's connections are kept for requests under way: as long as its configuration
    lets an answer take, and ``linger_s`` more.
    """

    def __init__(
        self,
        gateway: Gateway,
        build: Callable[[], Router],
        path: Path | None,
        *,
        linger_s: float = 60.0,
    ) -> None:
        self._gateway = gateway
        self._build = build
        self._path = path
        self._linger_s = linger_s
        self._seen = self._stamp()
        self._ending: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Looks for changes until it is cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            stamp = self._stamp()
            if stamp != self._seen:
                self._seen = stamp
                await self.reload()

    async def reload(self) -> bool:
        """Takes the configuration as it is now; whether it could be."""
        try:
            router = await asyncio.to_thread(self._build)
            router.prepare()
            shared = router.succeed(self._gateway.router)
        except ConfigError as error:
            _LOG.error(
                "the changed configuration is not taken; the old one serves on",
                extra={"fields": {"problem": str(error)}},
            )
            return False
        old, self._gateway.router = self._gateway.router, router
        _LOG.info("configuration reloaded")
        task = asyncio.create_task(self._end(old, recording=shared))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return True

    async def _end(self, old: Router, *, recording: bool) -> None:
        await asyncio.sleep(old.parts.config.timeouts.total_s + self._linger_s)
        await old.retire(recording=recording)

    def _stamp(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        try:
            found = self._path.stat()
        except OSError:
            return self._seen if hasattr(self, "_seen") else None
        return found.st_mtime_ns, found.st_size
