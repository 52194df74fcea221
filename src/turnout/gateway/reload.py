"""Swaps the engine, and the certificate, when their files change.

Invariant: a change takes effect as a whole or not at all. The old engine serves while it is read,
and requests under way end on the engine they began with.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from turnout.config.events import REFUSED, RELOADED
from turnout.core import RouterError
from turnout.gateway.app import Gateway
from turnout.runtime import Engine

_LOG = logging.getLogger("turnout.gateway")
_INTERVAL_S = 0.5

Stamps = Mapping[Path, tuple[int, int, int]]


def stamps_of(paths: Sequence[Path]) -> Stamps:
    """Time, size and inode of each file that is there."""
    found = {}
    for path in paths:
        with suppress(OSError):
            stat = path.stat()
            found[path] = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
    return found


class Reloader:
    """Watches ``paths`` and builds routers with ``build``; ``renew`` takes a new certificate.

    ``stamps`` are those of the files when they were first read: what changed since is read again.
    ``before_serving`` is called with each engine, and may refuse it by an exception. A replaced
    engine ends when its requests have, at the latest after the longest time that its configuration
    allows for an answer, and ``linger_s`` more.
    """

    def __init__(
        self,
        gateway: Gateway,
        build: Callable[[], Engine],
        paths: Sequence[Path] = (),
        *,
        stamps: Stamps | None = None,
        renew: Callable[[], None] = lambda: None,
        before_serving: Callable[[Engine], object] = lambda _: None,
        linger_s: float = 60.0,
    ) -> None:
        self._gateway = gateway
        self._build = build
        self._paths = tuple(paths)
        self._renew = renew
        self._before_serving = before_serving
        self._linger_s = linger_s
        self._last_stamps = stamps_of(self._paths) if stamps is None else stamps
        self._missing: set[Path] = set()
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[object]] = set()

    async def run(self) -> None:
        """Watches for changes until it is cancelled."""
        while True:
            await asyncio.sleep(_INTERVAL_S)
            found = stamps_of(self._paths)
            self._report_missing_files(set(self._paths) - found.keys())
            if self._has_changed(found):
                await self.reload()

    async def reload(self) -> bool:
        """Reads everything again. Returns whether it could be used."""
        async with self._reloading:
            self._last_stamps = {**self._last_stamps, **stamps_of(self._paths)}
            try:
                engine = await asyncio.to_thread(self._build)
                if self._has_changed(stamps_of(self._paths)):
                    # Half of a file may make sense: what is being written is read again.
                    await engine.retire(recording=False)
                    return False
                shared = await self._prepare(engine)
            except RouterError as error:
                self._log_refusal(str(error))
                return False
            except Exception as error:  # noqa: BLE001 -- the border where nothing escapes
                # The next change must be seen all the same.
                _LOG.exception("reading the changed configuration failed")
                self._log_refusal(repr(error))
                return False
            old = self._gateway.replace_engine(engine)
            _LOG.info(RELOADED)
            self._start_task(self._retire(old, recording=shared))
            return True

    def _has_changed(self, found: Stamps) -> bool:
        """Whether a file is another one than was read last; a missing one counts as unchanged."""
        return not found.items() <= self._last_stamps.items()

    def reload_soon(self) -> None:
        """As ``reload``, for callers that cannot wait for it."""
        self._start_task(self.reload())

    def _start_task(self, work: Coroutine[Any, Any, object]) -> None:
        """Starts a task and keeps it: the event loop holds tasks only weakly."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _prepare(self, engine: Engine) -> bool:
        """Makes an engine ready to serve. Returns whether it shares the recorder of the last one.

        Raises RouterError where it cannot serve.
        """
        try:
            engine.prepare_first()
            self._renew()
            shared = engine.take_over(self._gateway.engine)
            if not shared:
                await asyncio.to_thread(engine.accounts.open)
            await asyncio.to_thread(self._before_serving, engine)
        except BaseException:
            await engine.retire(recording=False)
            raise
        return shared

    async def _retire(self, old: Engine, *, recording: bool) -> None:
        left_s = old.parts.config.timeouts.total_s + self._linger_s
        while left_s > 0 and not old.cohort.is_empty:
            await asyncio.sleep(_INTERVAL_S)
            left_s -= _INTERVAL_S
        await asyncio.sleep(_INTERVAL_S)  # for what a caller who left has still to settle
        await old.retire(recording=recording)

    def _log_refusal(self, problem: str) -> None:
        _LOG.error(REFUSED, extra={"fields": {"problem": problem}})

    def _report_missing_files(self, missing: set[Path]) -> None:
        """Logs once that a file is missing, and once that it is back."""
        for path in missing - self._missing:
            _LOG.warning(
                "a watched file is missing; what was read from it stays in force",
                extra={"fields": {"file": str(path)}},
            )
        for path in self._missing - missing:
            _LOG.info("a watched file is back", extra={"fields": {"file": str(path)}})
        self._missing = missing
