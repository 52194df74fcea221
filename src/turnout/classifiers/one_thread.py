"""One thread for small matrices: BLAS shares each product among all cores, and waits for the last.

On a busy machine that wait takes many times as long as the product. OpenBLAS, which comes with
numpy, has one number of threads for the process, which is put back as soon as nobody multiplies
here. Other libraries are left alone.

Invariant: no result depends on it. This module does not know what is multiplied.
"""

from collections.abc import Callable
from functools import cache, wraps
from threading import Lock
from typing import ParamSpec, TypeVar

from threadpoolctl import LibController, ThreadpoolController

P = ParamSpec("P")
T = TypeVar("T")

_lock = Lock()
_inside = 0
_changed: list[tuple[LibController, int]] = []


def on_one_thread(work: Callable[P, T]) -> Callable[P, T]:
    """The same function; while it runs, BLAS uses one thread, in the whole process."""

    @wraps(work)
    def alone(*args: P.args, **kwargs: P.kwargs) -> T:
        _enter()
        try:
            return work(*args, **kwargs)
        finally:
            _leave()

    return alone


def _enter() -> None:
    global _inside  # noqa: PLW0603 -- the number of threads is the process's, too
    with _lock:
        _inside += 1
        if _inside > 1:
            return
        for library in _libraries():
            threads = library.get_num_threads()
            if threads > 1:
                _changed.append((library, threads))
                _set(library, 1)


def _leave() -> None:
    global _inside  # noqa: PLW0603 -- see above
    with _lock:
        _inside -= 1
        while not _inside and _changed:
            _set(*_changed.pop())


def _set(library: LibController, threads: int) -> None:
    # Else only the thread that set a number first could set another one.
    library.clear_controlling_thread(force=True)
    library.set_num_threads(threads)


@cache
def _libraries() -> list[LibController]:
    """The library behind numpy, which is loaded by now, if its threads are the process's own."""
    found = ThreadpoolController().select(internal_api="openblas").lib_controllers
    return [library for library in found if library.threading_layer == "pthreads"]
